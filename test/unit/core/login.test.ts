import { describe, expect, test } from "vitest";
import type { ResponseHead } from "../../../src/core/http.ts";
import { documentFor, loginAskedAt, metadataPathsOf, withChallenge } from "../../../src/core/login.ts";
import { fields } from "./fields.ts";
import { BACKEND, POLICY, ROUTE } from "./policy.ts";

const AT = "/.well-known/oauth-protected-resource";
const headers = fields({ ":method": "GET", ":authority": "gw.example", "x-forwarded-proto": "https" });
const route = { ...ROUTE, path: "/files/mcp" };
const policyOf = (of: typeof route = route) => ({ ...POLICY, routes: new Map([[of.path, of]]) });

describe("the metadata of a backend with a login of its own", () => {
  test("is asked for at the route's place, and at the root where there is one route", () => {
    const asked = { route, resource: "https://gw.example/files/mcp" };
    for (const path of [`${AT}/files/mcp`, `${AT}/files/mcp/`, AT])
      expect(loginAskedAt(headers, path, policyOf())).toEqual(asked);
    for (const path of [`${AT}/other`, "/files/mcp", "/.well-known/openid-configuration"])
      expect(loginAskedAt(headers, path, policyOf())).toBeUndefined();
  });

  test("is the gateway's own where that checks tokens, and nobody's where the backend gets none", () => {
    const none = { ...route, backend: { ...BACKEND, credentials: { kind: "none" } as const } };
    expect(loginAskedAt(headers, `${AT}/files/mcp`, policyOf(none))).toBeUndefined();
    const identity = { kind: "header", name: "x-user", required: false } as const;
    expect(loginAskedAt(headers, `${AT}/files/mcp`, { ...policyOf(), identity })).toBeUndefined();
  });

  test("is looked for at the backend's path, at the route's, and at the root", () => {
    expect(metadataPathsOf(route)).toEqual([`${AT}/mcp`, `${AT}/files/mcp`, AT]);
  });

  test("names the gateway's URL in place of the backend's, and nothing else is changed", () => {
    const own = { resource: "http://10.0.0.1/mcp", authorization_servers: ["https://as"], scopes_supported: ["a"] };
    const document = documentFor("https://gw.example/files/mcp", JSON.stringify(own));
    expect(JSON.parse(document ?? "")).toEqual({ ...own, resource: "https://gw.example/files/mcp" });
    for (const text of ["", "[]", "{}", '{"authorization_servers":"x"}', "<html>"])
      expect(documentFor("https://gw.example", text)).toBeUndefined();
  });
});

describe("a challenge of a backend", () => {
  const request = { headers, route, policy: policyOf() };
  const head = (challenge?: string, endpoint: string | undefined = "10.0.0.1:80"): ResponseHead => ({
    headers: fields({ ":status": "401", ...(challenge !== undefined && { "www-authenticate": challenge }) }),
    endpoint,
    flags: 0,
    endOfStream: true,
  });
  const place = `resource_metadata="https://gw.example${AT}/files/mcp"`;

  test.each([
    ['Bearer resource_metadata="http://10.0.0.1/x", scope="a"', `Bearer ${place}, scope="a"`],
    ['Bearer error="invalid_token", resource_metadata=http://10.0.0.1/x', `Bearer error="invalid_token", ${place}`],
  ])("%s names the gateway's document", (challenge, named) => {
    expect(withChallenge({ kind: "continue" }, head(challenge), request)).toEqual({
      kind: "mutate",
      set: [["www-authenticate", named]],
      remove: [],
      clearRoute: false,
    });
  });

  test("is left as it is where it names none, or is Envoy's", () => {
    const decision = { kind: "continue" } as const;
    for (const answered of [head(), head("Bearer"), head('Bearer resource_metadata="x"', "")])
      expect(withChallenge(decision, { ...answered, endpoint: answered.endpoint || undefined }, request)).toBe(
        decision,
      );
  });

  test("is named so in a decision that takes time as well", async () => {
    const verdict = Promise.resolve({ kind: "continue" } as const);
    const challenge = head('Bearer resource_metadata="x"');
    const decision = withChallenge({ kind: "deferred", messageTimeout: 1, verdict }, challenge, request);
    expect(decision).toMatchObject({ kind: "deferred" });
    expect(await ("verdict" in decision && decision.verdict)).toMatchObject({
      set: [["www-authenticate", `Bearer ${place}`]],
    });
    expect(await withChallenge(verdict, challenge, request)).toMatchObject({ kind: "mutate" });
  });
});
