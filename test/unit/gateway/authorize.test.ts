/** Credentials of backends, in requests that Envoy sends. */
import { describe, expect, test } from "vitest";
import type { Credentials } from "../../../src/core/credentials.ts";
import type { DeferredVerdict, Verdict } from "../../../src/core/http.ts";
import type { Identity } from "../../../src/core/identity.ts";
import type { BackendCredentials, Credential } from "../../../src/credentials/credentials.ts";
import { fields } from "../core/fields.ts";
import { BACKEND, POLICY, ROUTE } from "../core/policy.ts";
import { answerHead, openGateway } from "./open.ts";

const HEADER: Credentials = { kind: "header", name: "x-key", file: "/f", prefix: "" };
const EXCHANGE: Credentials = {
  kind: "exchange",
  endpoint: "https://idp/token",
  audience: "api",
  resource: undefined,
  scopes: [],
  client: { kind: "secret", id: "g", file: "/f", method: "basic" },
  ca: undefined,
  timeout: 2_000,
  pause: 1_000,
};

const INITIALIZE = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}';
const CALL = '{"jsonrpc":"2.0","id":2,"method":"tools/list"}';
const NONE: Credential = { kind: "none", why: "x", retryAfter: 3 };

/** A gateway to a backend with these credentials. `given`: what there is of them. */
async function open(credentials: Credentials, given: ReturnType<BackendCredentials["of"]>, identity = POLICY.identity) {
  const backend = { ...BACKEND, credentials };
  const routes = new Map([["/mcp", { ...ROUTE, backend }]]);
  const asked: (string | undefined)[] = [];
  const opened = await openGateway({
    policy: { ...POLICY, identity, routes, addsCredentials: true },
    credentials: {
      of(_, authorization) {
        asked.push(authorization);
        return given;
      },
    },
  });
  const { exchange, id } = opened;
  const head = (method: string, session?: string) =>
    exchange.requestHeaders({
      headers: fields({
        ":method": method,
        ":path": "/mcp",
        ":authority": "gw",
        accept: "text/event-stream",
        "content-type": "application/json",
        authorization: "Bearer client",
        ...(session !== undefined && { "mcp-session-id": session }),
      }),
      endOfStream: method !== "POST",
    });
  const post = async (body: string, session?: string) => {
    await head("POST", session);
    return settled(await exchange.requestBody(Buffer.from(body)));
  };
  return { ...opened, head, post, asked, id };
}

const settled = (decision: Verdict | DeferredVerdict): Promise<Verdict> | Verdict =>
  decision.kind === "deferred" ? decision.verdict : decision;

let refusals = 0;
const held = (headers: readonly (readonly [string, string])[]): Credential => ({
  kind: "held",
  headers,
  refused: () => void refusals++,
});

test("a header takes the place of the client's own, and of its Authorization", async () => {
  const { post, asked } = await open(HEADER, held([["x-key", "secret"]]));
  const verdict = await post(INITIALIZE);
  expect(verdict).toMatchObject({ set: expect.arrayContaining([["x-key", "secret"]]) });
  expect(verdict).toMatchObject({ remove: ["authorization"] });
  expect(asked).toEqual(["Bearer client"]);
});

test("where there is nothing in its place, the client's Authorization goes all the same", async () => {
  for (const credentials of [{ kind: "none" } as const, EXCHANGE]) {
    const { post, id } = await open(credentials, held([]));
    expect(await post(CALL, id)).toMatchObject({ kind: "mutate", remove: expect.arrayContaining(["authorization"]) });
  }
});

test("a token that is yet to come is waited for, as long as it may take", async () => {
  const token: Credential = held([["authorization", "Bearer exchanged"]]);
  const { exchange, head, id } = await open(EXCHANGE, Promise.resolve(token));
  await head("POST", id);
  const decision = await exchange.requestBody(Buffer.from(CALL));
  expect(decision).toMatchObject({ kind: "deferred", messageTimeout: EXCHANGE.timeout + 1_000 });
  const verdict = await settled(decision);
  expect(verdict).toMatchObject({ set: expect.arrayContaining([["authorization", "Bearer exchanged"]]) });
  expect(verdict).toMatchObject({ remove: expect.not.arrayContaining(["authorization"]) });
});

test("without one, a request is answered by its id, and one without an id by a status", async () => {
  const { post, id, head, exchange, events } = await open(EXCHANGE, NONE);
  const answer = await post(CALL, id);
  expect(answer).toMatchObject({ kind: "reply", status: 200, details: "mcp_credential_unavailable" });
  expect(JSON.parse(String("body" in answer && answer.body))).toMatchObject({
    id: 2,
    error: { code: -32603, data: { reason: "credential-unavailable", retryAfterMs: 3_000 } },
  });
  expect(events).toContainEqual(expect.objectContaining({ kind: "rejected", reason: "credential-unavailable" }));
  expect(await settled(await head("GET", id))).toMatchObject({
    status: 503,
    headers: expect.arrayContaining([["retry-after", "3"]]),
  });
  exchange.closed();
});

test("an initialize without one gives its slot back at once", async () => {
  const { post, ledger } = await open(EXCHANGE, NONE);
  expect(await post(INITIALIZE)).toMatchObject({ kind: "reply", status: 200 });
  expect(await ledger.count()).toMatchObject({ live: 0 });
});

test("a session that its client ends has ended, and the backend is told as soon as it can be", async () => {
  const { head, id, abandoned, exchange } = await open(EXCHANGE, NONE);
  expect(await settled(await head("DELETE", id))).toMatchObject({ kind: "reply", status: 204 });
  exchange.closed();
  expect(abandoned).toEqual(["one backend-id"]);
});

test("a backend's 401 says that the token is of no use, and Envoy's does not", async () => {
  refusals = 0;
  const { post, id, exchange } = await open(EXCHANGE, held([["authorization", "Bearer exchanged"]]));
  await post(CALL, id);
  await exchange.responseHeaders(answerHead({ ":status": "401" }, { endpoint: undefined }));
  expect(refusals).toBe(0);
  expect(await exchange.responseHeaders(answerHead({ ":status": "401" }))).toMatchObject({ kind: "continue" });
  expect(refusals).toBe(1);
});

test("without one, each request of a batch is answered by its own id, and nobody waits for the answer to a notification", async () => {
  const { post, id } = await open(EXCHANGE, NONE);
  const notification = '{"jsonrpc":"2.0","method":"notifications/x"}';
  const answer = await post(`[${CALL},${notification},{"jsonrpc":"2.0","id":"b","method":"ping"}]`, id);
  expect(answer).toMatchObject({ kind: "reply", status: 200 });
  expect(JSON.parse(String("body" in answer && answer.body))).toMatchObject([{ id: 2 }, { id: "b" }]);
  expect(await post(notification, id)).toMatchObject({ kind: "reply", status: 202, body: "" });
  expect(await post(`[${notification}]`, id)).toMatchObject({ kind: "reply", status: 202, body: "" });
});

const BY_HEADER: Identity = { kind: "header", name: "x-user", required: false };

describe("a backend's 401, where clients log in at the gateway,", () => {
  const refusing = answerHead({ ":status": "401", "www-authenticate": "Bearer" });

  test.each<[string, Credentials]>([
    ["none", { kind: "none" }],
    ["a header", HEADER],
    ["an exchanged token", EXCHANGE],
  ])("is its failure to a request with %s", async (_, credentials) => {
    const { post, id, exchange, head } = await open(credentials, held([]), BY_HEADER);
    await post(CALL, id);
    const answer = await settled(await exchange.responseHeaders(refusing));
    expect(answer).toMatchObject({ kind: "reply", status: 200, details: "mcp_backend_failed" });
    expect(JSON.parse(String("body" in answer && answer.body))).toMatchObject({
      id: 2,
      error: { code: -32603, data: { backend: "one", status: 401 } },
    });
    await head("GET", id);
    expect(await settled(await exchange.responseHeaders(refusing))).toMatchObject({ kind: "reply", status: 503 });
  });

  test("goes on to a client whose own login the backend gets", async () => {
    const { post, id, exchange } = await open({ kind: "forward" }, held([]), BY_HEADER);
    await post(CALL, id);
    expect(await exchange.responseHeaders(refusing)).toMatchObject({ kind: "continue" });
  });

  test("that Envoy gives goes on", async () => {
    const { post, id, exchange } = await open(HEADER, held([]), BY_HEADER);
    await post(CALL, id);
    const answered = await exchange.responseHeaders(answerHead({ ":status": "401" }, { endpoint: undefined }));
    expect(answered).toMatchObject({ kind: "continue" });
  });

  test("gives the slot of an initialize back", async () => {
    const { post, exchange, ledger } = await open(HEADER, held([]), BY_HEADER);
    await post(INITIALIZE);
    expect(await settled(await exchange.responseHeaders(refusing))).toMatchObject({ kind: "reply", status: 200 });
    expect(await ledger.count()).toMatchObject({ live: 0 });
  });
});
