/** Routes to several backends in the core's terms, for tests. */
import { ALL_NAMES } from "../../../src/core/federation/filter.ts";
import type { FederatedRoute, Member } from "../../../src/core/routes.ts";
import { BACKEND } from "./policy.ts";

export function memberOf(name: string, over: Partial<Member> = {}): Member {
  const route = { kind: "member", path: "/all", sessions: "required", backend: { ...BACKEND, name } } as const;
  return { route, prefix: `${name}__`, uris: [], lists: "shared", ...over };
}

export function federatedRoute(members: readonly Member[], over: Partial<FederatedRoute> = {}): FederatedRoute {
  return {
    kind: "federated",
    path: "/all",
    sessions: "required",
    members,
    filters: { tools: ALL_NAMES, prompts: ALL_NAMES, resources: ALL_NAMES },
    pins: undefined,
    instructions: undefined,
    presents: "route",
    bridges: false,
    serverInfo: { name: "all", title: undefined, version: "1.2.3" },
    lists: { refresh: 60_000, stale: 600_000, timeout: 5_000, pages: 100, bytes: 1_000_000, page: 1_000_000 },
    stream: members.length === 1 ? "backend" : "none",
    ...over,
  };
}
