import { expect, test } from "vitest";
import { answer, type Reject } from "../../../src/core/reject.ts";

const id = '"\\u0041"';
const detail = 'a "quoted" thing';

// docs/operations.md, "What each error means", row by row.
test.each<[Reject, number, number | undefined]>([
  [{ reason: "host-not-allowed" }, 403, -32600],
  [{ reason: "origin-not-allowed" }, 403, -32600],
  [{ reason: "no-route" }, 404, undefined],
  [{ reason: "method-not-allowed" }, 405, undefined],
  [{ reason: "not-acceptable" }, 406, -32600],
  [{ reason: "content-type" }, 415, -32600],
  [{ reason: "method-unknown" }, 404, -32601],
  [{ reason: "content-encoding" }, 415, -32600],
  [{ reason: "not-json" }, 400, -32700],
  [{ reason: "unauthenticated", challenge: "Bearer" }, 401, -32600],
  [{ reason: "body-too-large", id }, 413, -32600],
  [{ reason: "session-unknown", id }, 404, -32001],
  [{ reason: "answer-lost", id }, 502, -32603],
  [{ reason: "backend-redirects", id }, 502, -32603],
  [{ reason: "backend-unavailable", id }, 503, -32603],
  [{ reason: "backend-unavailable", id, inBand: true }, 200, -32603],
  [{ reason: "backend-unavailable", inBand: true }, 503, -32603],
  [{ reason: "session-ambiguous", id }, 502, -32603],
  [{ reason: "session-required", id }, 400, -32600],
  [{ reason: "store-unavailable", id }, 503, -32603],
  [{ reason: "store-unavailable", id, inBand: true }, 200, -32603],
  // By what could a client tell which request it is of?
  [{ reason: "store-unavailable", inBand: true }, 503, -32603],
  [{ reason: "invalid-request", detail, id }, 400, -32600],
  [{ reason: "header-mismatch", detail, id }, 400, -32020],
  [{ reason: "invalid-envelope", detail, id }, 400, -32602],
  [{ reason: "internal", id }, 500, -32603],
])("%j is answered by %i and code %s", (reject, status, code) => {
  const reply = answer(reject);
  expect(reply).toMatchObject({ kind: "reply", status, details: `mcp_${reject.reason.replaceAll("-", "_")}` });
  const body = String(reply.body);
  const headers = new Map(reply.headers);
  if (code === undefined) {
    expect(headers.get("content-type")).toBe("text/plain; charset=utf-8");
    return;
  }
  expect(headers.get("content-type")).toBe("application/json");
  expect(JSON.parse(body)).toMatchObject({ jsonrpc: "2.0", error: { code } });
  // The id comes back as it was written, and is left out where there is none: never null.
  if ("id" in reject) expect(body).toContain(`"id":${id},`);
  else expect(JSON.parse(body)).not.toHaveProperty("id");
});

test("a 405 says what is allowed, a 503 when to come back", () => {
  expect(answer({ reason: "method-not-allowed" }).headers).toContainEqual(["allow", "GET, POST, DELETE"]);
  expect(answer({ reason: "store-unavailable" }).headers).toContainEqual(["retry-after", "1"]);
});

test.each([
  [{ what: "resource", name: "memo:é" }, { uri: "memo:é" }],
  // A part of it would be another URI.
  [{ what: "resource", name: `memo:${"x".repeat(5_000)}` }, undefined],
  [{ what: "tool", name: "run" }, undefined],
] as const)("the error to a resource that nobody offers names it as data: %j", (of, data) => {
  const { error } = JSON.parse(String(answer({ reason: "not-offered", ...of, id }).body));
  expect(error.data).toEqual(data);
});

test("a reason that has no answer is an error of ours", () => {
  // Only a cast makes such a reason: the compiler refuses it.
  expect(() => answer({ reason: "new" } as unknown as Reject)).toThrow("unmapped");
});
