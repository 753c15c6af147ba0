/** Calls that have a limit: what Envoy is told of them, and what comes of its refusal. */
import { describe, expect, test } from "vitest";
import type { CallLimit } from "../../../src/core/call-limits.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import type { Verdict } from "../../../src/core/http.ts";
import { principalDigest, principalTag } from "../../../src/sessions/id.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { replyIn, settled } from "./verdicts.ts";

const LIMIT: CallLimit = { name: "mine", tools: [compileGlob("run*")], per: "principal", calls: 10, seconds: 60 };
const USER = { kind: "header", name: "x-user", required: false } as const;
/** Bits of Envoy's response flags. */
const [RL, RLSE] = [1 << 11, 1 << 13];

const call = (name: string, id = "7") =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}"}}`;

async function asked(body: string, { limits = [LIMIT], user = "ada" } = {}, over: Partial<OpenOptions> = {}) {
  const policy = { ...POLICY, identity: USER, callLimits: { limits, counts: "steps" as const } };
  const opened = await openGateway({ policy, ...over });
  const exchange = opened.gateway.open();
  const headers = { ":method": "POST", ":path": "/mcp", ":authority": "h", "content-type": "application/json" };
  const head = fields({ ...headers, accept: "application/json, text/event-stream", ...(user && { "x-user": user }) });
  await settled(exchange.requestHeaders({ headers: head, endOfStream: false }));
  return { ...opened, exchange, verdict: await settled(exchange.requestBody(Buffer.from(body))) };
}

function countedIn(verdict: Verdict) {
  if (verdict.kind !== "mutate") throw new Error(verdict.kind);
  return verdict.counted;
}

describe("Envoy is told to count a call", () => {
  test("of its principal, by the digest's tag", async () => {
    const { verdict } = await asked(call("run", '"é"'));
    expect(countedIn(verdict)).toMatchObject({
      hits: [{ limit: LIMIT, calls: 1 }],
      principal: principalTag(principalDigest(["ada"])),
      retryAfter: 6,
      id: '"é"',
    });
  });

  test("of callers without a name together", async () => {
    const { verdict } = await asked(call("run"), { user: "" });
    expect(countedIn(verdict)?.principal).toBe("anonymous");
  });

  test("and nothing where no limit has the tool, or there are no limits", async () => {
    expect(countedIn((await asked(call("walk"))).verdict)).toBeUndefined();
    expect(countedIn((await asked(call("run"), { limits: [] })).verdict)).toBeUndefined();
  });
});

describe("where Envoy refuses the call, the client gets", () => {
  const refused = async (body: string, flags = RL) => {
    const { exchange, events } = await asked(body);
    const verdict = await settled(exchange.responseHeaders({ ...answerHead({ ":status": "429" }), flags }));
    const headers = verdict.kind === "reply" ? Object.fromEntries(verdict.headers) : {};
    return { ...replyIn(verdict), headers, verdict, events };
  };
  const error = { code: -32000, message: "Rate limit reached", data: { retryAfterMs: 6_000 } };

  test("an error by its id, in band, with the time to wait", async () => {
    const { status, body, headers, events } = await refused(call("run"));
    expect({ status, body }).toEqual({ status: 200, body: { jsonrpc: "2.0", id: 7, error } });
    expect(headers).toMatchObject({ "retry-after": "6", "content-type": "application/json" });
    expect(events).toContainEqual(expect.objectContaining({ kind: "rejected", reason: "calls-exhausted" }));
  });

  test("another one where nobody counts", async () => {
    expect(await refused(call("run"), RLSE)).toMatchObject({
      status: 200,
      body: { id: 7, error: { code: -32000, message: "Rate limits unavailable", data: { retryAfterMs: 1_000 } } },
      headers: { "retry-after": "1" },
    });
  });

  test("one for each request of a batch", async () => {
    const { status, body } = await refused(
      `[${call("run", "1")},{"jsonrpc":"2.0","method":"x"},${call("run", '"b"')}]`,
    );
    expect(status).toBe(200);
    const of = { ...error, data: { retryAfterMs: 12_000 } };
    expect(body).toEqual([
      { jsonrpc: "2.0", id: 1, error: of },
      { jsonrpc: "2.0", id: "b", error: of },
    ]);
  });

  test("a status, where nothing waits for an answer", async () => {
    const { status, body, headers } = await refused('{"jsonrpc":"2.0","method":"tools/call","params":{"name":"run"}}');
    expect({ status, body }).toEqual({ status: 429, body: { jsonrpc: "2.0", error } });
    expect(headers["retry-after"]).toBe("6");
  });
});

test("a backend's own refusal passes", async () => {
  const { exchange } = await asked(call("run"));
  const verdict = await settled(exchange.responseHeaders(answerHead({ ":status": "429" })));
  expect(verdict.kind).not.toBe("reply");
});
