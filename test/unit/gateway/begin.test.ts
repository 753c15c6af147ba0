import { describe, expect, test } from "vitest";
import type { Admission, Reserved, Slot } from "../../../src/admission/admission.ts";
import type { DeferredStep, Step } from "../../../src/gateway/answers.ts";
import { createBegin } from "../../../src/gateway/begin.ts";
import type { GatewayRequest } from "../../../src/gateway/request.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import type { SessionStore } from "../../../src/sessions/store.ts";
import { UNAVAILABLE, unavailable } from "../../support/unavailable.ts";
import { fields } from "../core/fields.ts";
import { answerHead, LIFESPAN } from "./open.ts";
import { gatewayRequest, observed } from "./requests.ts";

const BODY = '{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}';
const START = BODY.indexOf('{"protocolVersion"');
const MESSAGE = {
  kind: "initialize",
  id: "7",
  labels: { method: "initialize", name: undefined },
  params: { start: START, end: BODY.length - 1 },
  protocolVersion: "2025-11-25",
} as const;
const EXHAUSTED = { kind: "exhausted", by: "sessions", freeIn: 7_100, idleIn: undefined } as const;

interface Options {
  readonly commit?: Awaited<ReturnType<Slot["commit"]>>;
  readonly reserved?: Reserved;
  readonly wait?: Admission["wait"];
  readonly store?: Partial<SessionStore>;
  readonly request?: Partial<GatewayRequest>;
}

/** Begins a session by a slot that tells what becomes of it. */
function open({
  commit = { kind: "committed" },
  reserved,
  wait = () => undefined,
  store: over,
  request,
}: Options = {}) {
  const fate: string[] = [];
  const slot: Slot = {
    async commit(ms) {
      fate.push(`committed for ${ms}`);
      return commit;
    },
    leave: () => void fate.push("left"),
    release: () => void fate.push("released"),
  };
  const store = memoryStore(LIFESPAN);
  const abandoned: string[] = [];
  const { events, observe } = observed();
  const begin = createBegin({
    store: { ...store, ...over },
    admission: { reserve: async () => reserved ?? { kind: "reserved", slot }, wait },
    abandon: async (backend, { sessionId, endpoint }) => {
      abandoned.push(`${backend} ${sessionId} ${endpoint}`);
      return true;
    },
  });
  const asked = gatewayRequest({ observe, ...request });
  const send = () => begin(asked.request, MESSAGE, Buffer.from(BODY));
  return { send, slot, fate, store, abandoned, events, scope: asked.scope };
}

function sent(step: Step | DeferredStep): Step {
  if (step.kind === "deferred") throw new Error("the initialize waits");
  return step;
}

const begun = answerHead({ ":status": "200", "content-type": "application/json", "mcp-session-id": "new-id" });

describe("an initialize that has a slot", () => {
  test("goes to any endpoint, with the tag of the session that it asks for", async () => {
    const { send, fate } = open();
    const { verdict } = sent(await send());
    expect(verdict).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([["x-mcp-session", expect.any(String)]]),
    });
    expect(verdict).not.toMatchObject({ set: expect.arrayContaining([["x-mcp-endpoint", expect.anything()]]) });
    expect(fate).toEqual([]);
  });

  test("leaves it to its reservation when the request ends before the answer", async () => {
    const { send, fate, scope } = open();
    await send();
    scope.end();
    expect(fate).toEqual(["left"]);
  });

  test("gives it back where the client has left before anything was sent", async () => {
    const { send, fate, scope } = open();
    scope.end();
    await send();
    expect(fate).toEqual(["released"]);
  });
});

describe("an initialize that has none", () => {
  test("is refused, with the time after which there may be one", async () => {
    const { send, events } = open({ reserved: EXHAUSTED });
    expect(sent(await send()).verdict).toMatchObject({
      kind: "reply",
      status: 503,
      headers: expect.arrayContaining([["retry-after", "8"]]),
    });
    expect(events).toMatchObject([{ kind: "rejected", reason: "sessions-exhausted" }]);
  });

  test("is refused while the ledger is away", async () => {
    const { send, events } = open({ reserved: UNAVAILABLE });
    expect(sent(await send()).verdict).toMatchObject({ kind: "reply", status: 503 });
    expect(events).toMatchObject([{ kind: "rejected", reason: "store-unavailable" }]);
  });

  test("waits where one is free soon, until the client leaves", async () => {
    const outcome = Promise.withResolvers<Reserved>();
    const { send, scope, slot, fate } = open({
      reserved: EXHAUSTED,
      wait: () => ({ longest: 5_000, outcome: outcome.promise, leave: () => fate.push("no wait") }),
    });
    const next = await send();
    expect(next).toMatchObject({ kind: "deferred", messageTimeout: 6_000 });
    scope.end();
    expect(fate).toEqual(["no wait"]);
    outcome.resolve({ kind: "reserved", slot });
    await (next.kind === "deferred" && next.step);
    expect(fate).toEqual(["no wait", "released"]);
  });
});

describe("the answer to an initialize", () => {
  test("that names a session stores it, commits its slot, and gives the client our id", async () => {
    const { send, fate, store, events } = open();
    const verdict = await sent(await send()).answer.head(begun);
    expect(verdict).toMatchObject({ kind: "mutate", set: [["mcp-session-id", expect.stringMatching(/^[\w-]{43}$/)]] });
    expect(fate).toEqual([`committed for ${LIFESPAN.unused}`]);
    expect(store.size).toBe(1);
    expect(events.at(-1)).toMatchObject({ kind: "session-created", endpoint: begun.endpoint });
  });

  test.each([
    ["200", undefined, 0, "released"],
    ["500", "new-id", 0, "released"],
    ["503", undefined, 1 << 5, "released"],
    ["504", undefined, 0, "left"],
    ["503", undefined, 1 << 4, "left"],
  ])("by %s with session %s and flags %i begins none: its slot is %s", async (status, id, flags, becomes) => {
    const { send, fate, store } = open();
    const head = answerHead({ ":status": status, ...(id && { "mcp-session-id": id }) }, { flags });
    await sent(await send()).answer.head(head);
    expect([fate, store.size]).toEqual([[becomes], 0]);
  });

  test("by a redirect is refused, and its slot comes back", async () => {
    const { send, fate, events } = open();
    const head = answerHead({ ":status": "307", location: "/elsewhere", "mcp-session-id": "new-id" });
    expect(sent(await send()).answer.head(head)).toMatchObject({ kind: "reply", status: 502 });
    expect(fate).toEqual(["released"]);
    expect(events.at(-2)).toMatchObject({ kind: "endpoint-doubtful", method: "initialize" });
  });

  test("that names several sessions is refused, and its slot is left to its reservation", async () => {
    const { send, fate } = open();
    const head = answerHead({ ":status": "200", "content-type": "application/json", "mcp-session-id": "a, b" });
    expect(sent(await send()).answer.head(head)).toMatchObject({ kind: "reply", status: 502 });
    expect(fate).toEqual([]);
  });

  test("without an endpoint is a fault", async () => {
    const { answer } = sent(await open().send());
    expect(() => answer.head({ ...begun, endpoint: undefined })).toThrow("upstream.address");
  });

  test.each<[string, Options, string[]]>([
    ["cannot be stored", { store: { create: unavailable } }, ["left", "released"]],
    ["has lost its slot", { commit: EXHAUSTED }, [`committed for ${LIFESPAN.unused}`, "left", "released"]],
  ])("whose session %s is refused, and all is given back", async (_, options, expected) => {
    const { send, fate, store, abandoned } = open({ request: { headers: fields({ ":method": "POST" }) }, ...options });
    expect(await sent(await send()).answer.head(begun)).toMatchObject({ kind: "reply", status: 503 });
    await new Promise((resolve) => setImmediate(resolve));
    expect([fate, store.size, abandoned]).toEqual([expected, 0, ["one new-id 10.0.0.1:80"]]);
  });

  test("whose session a late store keeps all the same leaves nothing there", async () => {
    const late = memoryStore(LIFESPAN);
    const create = async (...of: Parameters<typeof late.create>) => {
      await late.create(...of);
      return UNAVAILABLE;
    };
    const { send } = open({ store: { create, remove: late.remove } });
    expect(await sent(await send()).answer.head(begun)).toMatchObject({ kind: "reply", status: 503 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(late.size).toBe(0);
  });
});
