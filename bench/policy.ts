/**
 * What `policy` costs in the processor: the list of 1,000 tools for callers of an outcome that is not kept, and a call under 100 rules.
 * Without rules nothing of that is done, so all that is timed is added. Claims are read as in production, from the bytes of a message of
 * Envoy's. A process of its own: `node bench/policy.ts`. Ends with 1 when a target is missed.
 */
import type protobuf from "protobufjs";
import { ALL_NAMES } from "../src/core/federation/filter.ts";
import { compileGlob } from "../src/core/federation/glob.ts";
import { readListPage } from "../src/core/federation/list-page.ts";
import { listingOf } from "../src/core/federation/listing.ts";
import { type MergedList, mergeLists } from "../src/core/federation/merge.ts";
import { JWT_METADATA } from "../src/core/identity.ts";
import type { Caller } from "../src/core/policy/caller.ts";
import { filterMessages } from "../src/core/policy/list-filter.ts";
import { refusedIn } from "../src/core/policy/refusal.ts";
import { RouteRules } from "../src/core/policy/route-rules.ts";
import type { Rule } from "../src/core/policy/rule.ts";
import { readBody } from "../src/core/rpc/read.ts";
import { decodeRequest } from "../src/ext-proc/decode.ts";
import { ourProtos } from "../test/support/envoy-protos.ts";
import { median } from "./statistics.ts";

const TARGETS = {
  /** ms for the list of 1,000 tools. */
  list: 1,
  /** µs that 100 rules add to a call. */
  call: 3,
} as const;

const RULES = 100;
const TOOLS = 1_000;
const LISTS = 200;
/** Calls that are timed together, and how often: a clock does not tell one from another. */
const CALLS = 5_000;
const TURNS = 60;
const LIMITS = { depth: 128, batch: 100, name: 4_096 };
const PATH = "/mcp";

/** Groups that the caller of the bench is in: the last rule is for it. */
const GROUPS = Array.from({ length: 10 }, (_, n) => `group-${n}`);

/** The claims of a token, as many as an access token of a large issuer has. */
const claims = {
  ...Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`claim-${n}`, { stringValue: "x".repeat(24) }])),
  sub: { stringValue: "ada" },
  scope: { stringValue: "openid mcp" },
  groups: { listValue: { values: [...GROUPS, "last"].map((stringValue) => ({ stringValue })) } },
};

/** A caller whose claims are read from what Envoy sends with the head of a request. */
const CALLER: Caller = callerIn(
  ourProtos("envoy/service/ext_proc/v3/external_processor.proto").lookupType(
    "envoy.service.ext_proc.v3.ProcessingRequest",
  ),
);

function callerIn(request: protobuf.Type): Caller {
  const payload = { fields: { [JWT_METADATA.key]: { structValue: { fields: claims } } } };
  const message = request.fromObject({
    request_headers: { headers: { headers: [] } },
    metadata_context: { filter_metadata: { [JWT_METADATA.namespace]: payload } },
  });
  const read = decodeRequest(Buffer.from(request.encode(message).finish()));
  if (read.phase !== "request_headers" || !read.claims) throw new Error("the claims were not read");
  const { claims: wire } = read;
  return { name: "ada", values: (...path) => wire.values(...path) };
}

/** Each rule is for tools of one server, and a group that the caller is not in, but for the last. */
const rules: readonly Rule[] = Array.from({ length: RULES }, (_, n) => ({
  verdict: "allow",
  names: { tools: [compileGlob(n + 1 < RULES ? `server-${n}__*` : "*")], prompts: [], resources: [] },
  when: {
    scopes: [],
    claims: [{ claim: "groups", values: [n + 1 < RULES ? `other-${n}` : "last"] }],
    principals: undefined,
    routes: undefined,
  },
}));

const listText = Buffer.from(
  JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    result: {
      tools: Array.from({ length: TOOLS }, (_, n) => ({
        name: `server-${n % RULES}__tool-${n}`,
        description: "x".repeat(200),
        inputSchema: { type: "object" },
      })),
    },
  }),
);

const listed = measureList();
const passing = measurePassing();
const call = measureCall();
const met = { listed: listed <= TARGETS.list, call: call <= TARGETS.call };
console.log(
  [
    "",
    `policy of ${RULES} rules`,
    row(`list of ${TOOLS} tools, filtered, p50 ms`, listed.toFixed(3), met.listed, TARGETS.list),
    row("the same on its way from a backend, with its JSON, p50 ms", passing.toFixed(3)),
    row("added to a call, µs", call.toFixed(2), met.call, TARGETS.call),
  ].join("\n"),
);
process.exitCode = Object.values(met).every((each) => each) ? 0 : 1;

function row(label: string, figure: string, isMet?: boolean, target?: number): string {
  const verdict = isMet === undefined ? "" : `  target ≤ ${target}: ${isMet ? "met" : "MISSED"}`;
  return `  ${label.padEnd(60)}${figure}${verdict}`;
}

function timed(run: () => void): number {
  const begun = performance.now();
  run();
  return performance.now() - begun;
}

/** A list that no outcome is kept of. */
function freshList(): MergedList {
  const page = readListPage(listText, "tools", LIMITS.depth);
  if (page.kind !== "page") throw new Error(page.kind);
  return mergeLists("tools", [listingOf("tools", undefined, page.items, 0)], ALL_NAMES);
}

function measureList(): number {
  const route = new RouteRules(rules, PATH);
  const times = Array.from({ length: LISTS }, () => {
    const list = freshList();
    return timed(() => {
      const { items } = route.offered(list, route.of(CALLER));
      if (items.length !== TOOLS) throw new Error("tools are missing");
    });
  });
  return median(times);
}

function measurePassing(): number {
  const route = new RouteRules(rules, PATH);
  const times = Array.from({ length: LISTS }, () =>
    timed(() => {
      const filter = { permits: route.of(CALLER), isModern: false, deepest: LIMITS.depth, mostMessages: LIMITS.batch };
      if (filterMessages(listText, filter).kind !== "filtered") throw new Error("the list was not read");
    }),
  );
  return median(times);
}

/** The median of several turns: what else the machine does makes some of them longer. */
function measureCall(): number {
  const name = "server-98__tool-1";
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name } }));
  const body = readBody(bytes, LIMITS);
  if (body.kind === "unreadable") throw new Error(body.reason);
  const route = new RouteRules(rules, PATH);
  const turns = Array.from({ length: TURNS }, () => {
    const under = timed(() => {
      for (let n = 0; n < CALLS; n++)
        if (refusedIn(body, bytes, route.of(CALLER), LIMITS.depth)) throw new Error("the call was refused");
    });
    return (under * 1_000) / CALLS;
  });
  return median(turns);
}
