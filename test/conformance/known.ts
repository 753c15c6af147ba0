/** Checks that come out otherwise through a route than directly, and why. Any other one fails the run. */

export interface KnownDifference {
  readonly ways: readonly string[];
  readonly scenario: string;
  /** Ids of its checks. */
  readonly checks: readonly string[];
  /** For readers of docs/conformance.md, by line. */
  readonly why: readonly string[];
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    ways: ["federated", "beside"],
    scenario: "server-sse-multiple-streams",
    checks: ["server-sse-streams-functional"],
    why: [
      "it asks for `tools/list` three times at once. The server answers by event streams, the router by JSON.",
      "Both are right, and the suite only notes which one it is.",
    ],
  },
];

/** undefined: the difference is not known. */
export function knownDifference(way: string, scenario: string, check: string): KnownDifference | undefined {
  return KNOWN_DIFFERENCES.find(
    (known) => known.ways.includes(way) && known.scenario === scenario && known.checks.includes(check),
  );
}
