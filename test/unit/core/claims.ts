/** Claims of a verified token, for tests. */
import type { Claims } from "../../../src/core/http.ts";

export function claims(members: Readonly<Record<string, unknown>>): Claims {
  const valueAt = (path: readonly string[]) =>
    path.reduce<unknown>((within, name) => (within as Readonly<Record<string, unknown>> | undefined)?.[name], members);
  return {
    text(...path) {
      const value = valueAt(path);
      return typeof value === "string" && value !== "" ? value : undefined;
    },
    values: (...path) =>
      [valueAt(path)].flat().filter((value) => ["string", "number", "boolean"].includes(typeof value)) as (
        | string
        | number
        | boolean
      )[],
  };
}
