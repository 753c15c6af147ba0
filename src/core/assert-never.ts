/** Ends an exhaustive switch: a case that is not mapped does not compile, and should it come all the same, it throws. */
export function assertNever(value: never): never {
  throw new Error(`unmapped: ${JSON.stringify(value)}`);
}
