/** A configuration in the core's terms, for tests. */
import type { Backend, RequestPolicy, TransparentRoute } from "../../../src/core/routes.ts";

export const BACKEND: Backend = {
  name: "one",
  path: "/mcp",
  onSessionLost: "recover",
  origin: "remove",
  credentials: { kind: "forward" },
  timeouts: { call: 60_000, initialize: 10_000 },
};

export const ROUTE: TransparentRoute = { kind: "transparent", path: "/mcp", sessions: "optional", backend: BACKEND };

export const POLICY: RequestPolicy = {
  routes: new Map([["/mcp", ROUTE]]),
  hosts: undefined,
  origins: undefined,
  identity: { kind: "none" },
  access: undefined,
  addsCredentials: false,
  admission: {
    sessions: 100,
    perPrincipal: 10,
    anonymous: undefined,
    parking: undefined,
    waiting: 100,
    wait: undefined,
    retryAfter: 30,
  },
  toolTimeouts: [],
  callLimits: { limits: [], counts: "steps" },
  limits: {
    body: 10_000,
    batch: 10,
    depth: 20,
    name: 100,
    initialize: 1_000,
    replayBody: 10_000,
    recoveredAnswer: 10_000,
    unfinishedEvents: 10_000,
    filteredAnswers: 10_000,
  },
};
