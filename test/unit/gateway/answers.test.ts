import { describe, expect, test } from "vitest";
import { Ended, NOT_SENT, refuseRedirect, replied, SESSION_ENDED, Unpinned } from "../../../src/gateway/answers.ts";
import { mintSessionId } from "../../../src/sessions/id.ts";
import { fields } from "../core/fields.ts";
import { answerHead, BINDING } from "./open.ts";
import { gatewayRequest, observed } from "./requests.ts";

const REDIRECT = { ":status": "307", location: "/mcp/" };
const withoutSession = { kind: "mutate", set: [], remove: ["mcp-session-id"], clearRoute: false };

describe("a redirect", () => {
  test("of a backend is refused under the request's id, and told of", () => {
    const { events, observe } = observed();
    const { request } = gatewayRequest({ observe });
    expect(refuseRedirect(request, answerHead(REDIRECT))).toMatchObject({
      kind: "reply",
      status: 502,
      body: expect.stringContaining('"id":7'),
    });
    expect(events).toMatchObject([
      { kind: "endpoint-doubtful", method: "POST", fault: { kind: "redirects", pathThere: "/mcp/" } },
      { kind: "rejected", reason: "backend-redirects" },
    ]);
  });

  test("of Envoy's own is none", () => {
    const { events, observe } = observed();
    const { request } = gatewayRequest({ observe });
    expect(refuseRedirect(request, answerHead(REDIRECT, { endpoint: undefined }))).toBeUndefined();
    expect(refuseRedirect(request, answerHead({ ":status": "304" }))).toBeUndefined();
    expect(events).toEqual([]);
  });

  test("of a request that has ended refuses nobody", () => {
    const { events, observe } = observed();
    const { request, scope } = gatewayRequest({ observe });
    scope.end();
    refuseRedirect(request, answerHead(REDIRECT));
    expect(events.filter(({ kind }) => kind === "rejected")).toEqual([]);
  });
});

describe("the answer to a request outside sessions", () => {
  const stage = () => new Unpinned(gatewayRequest().request);

  test("goes on, and shows no session of the backend's", () => {
    expect(stage().head(answerHead({ ":status": "200" }))).toEqual({ kind: "continue" });
    expect(stage().head(answerHead({ ":status": "200", "mcp-session-id": "backend-id" }))).toEqual(withoutSession);
  });

  test("by a redirect is refused", () => {
    expect(stage().head(answerHead(REDIRECT))).toMatchObject({ kind: "reply", status: 502 });
  });
});

describe("the answer to a DELETE", () => {
  const id = mintSessionId();
  const end = (headers: Readonly<Record<string, string>>, endpoint: string | undefined = BINDING.endpoint) => {
    const { events, observe } = observed();
    const abandoned: string[] = [];
    const { request } = gatewayRequest({ observe, kind: "end", headers: fields({ ":method": "DELETE" }) });
    const abandon = async (backend: string, { sessionId }: { readonly sessionId: string }) => {
      abandoned.push(`${backend} ${sessionId}`);
      return true;
    };
    const verdict = new Ended({ abandon }, request, id, BINDING).head(answerHead(headers, { endpoint }));
    return { verdict, events, abandoned };
  };

  test("goes on where the backend has ended the session, under the client's id", () => {
    const { verdict, abandoned } = end({ ":status": "200", "mcp-session-id": "backend-id" });
    expect(verdict).toMatchObject({ kind: "mutate", set: [["mcp-session-id", id]] });
    expect(abandoned).toEqual([]);
  });

  test.each([
    ["404", []],
    ["405", []],
    ["401", ["one backend-id"]],
    ["500", ["one backend-id"]],
  ])("is a success where the backend says %s, and who may not know of the end is told again: %j", (status, told) => {
    expect(end({ ":status": status })).toEqual({ verdict: SESSION_ENDED, events: [], abandoned: told });
  });

  test("is a success where the backend redirects, which is told of", () => {
    const { verdict, events, abandoned } = end(REDIRECT);
    expect([verdict, abandoned]).toEqual([SESSION_ENDED, ["one backend-id"]]);
    expect(events).toMatchObject([{ kind: "endpoint-doubtful", method: "DELETE" }]);
  });
});

describe("an answer of the gateway's own", () => {
  test("ends the request, and waits for no other", () => {
    expect(replied(SESSION_ENDED)).toEqual({ kind: "step", verdict: SESSION_ENDED, answer: NOT_SENT });
  });

  test("or of a filter ahead of it, goes on without a session", () => {
    expect(NOT_SENT.head(answerHead({ ":status": "401" }))).toEqual({ kind: "continue" });
    expect(NOT_SENT.head(answerHead({ ":status": "200", "mcp-session-id": "x" }))).toEqual(withoutSession);
  });
});
