import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections, warningsOf } from "./sections.ts";

const minutes = 60_000;
/** Backends of which is said whether they get clients' tokens. */
const WITHOUT_TOKENS = { one: { endpoints: ["10.0.0.1:80"], credentials: "none" } };

describe("identity", () => {
  const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };

  test("is none by default, and required where it is set", () => {
    expect(load().identity).toEqual({ kind: "none" });
    expect(load({ identity: jwt }).identity).toEqual({
      ...jwt,
      jwks: { kind: "file", ...jwt.jwks },
      required: true,
      metadata: { resource: undefined, authorizationServers: ["https://issuer"], scopes: [] },
    });
    expect(load({ identity: { kind: "header", name: "X-User" } }).identity).toEqual({
      kind: "header",
      name: "x-user",
      required: true,
    });
    expect(requestPolicy(load({ identity: { ...jwt, required: false } })).identity).toMatchObject({ required: false });
  });

  test.each<[Sections, string]>([
    [{ ...jwt, issuer: "" }, "identity.issuer: "],
    [{ ...jwt, audiences: [] }, "identity.audiences: got [], expected at least one audience"],
    [{ ...jwt, jwks: {} }, "identity.jwks: got neither, expected one of file"],
    [{ ...jwt, jwks: { file: "/k", uri: "https://x" } }, "identity.jwks: got both, expected one of file"],
    [{ ...jwt, jwks: { file: "/k", ca: "/ca.pem" } }, "identity.jwks.ca: applies only to uri"],
    [{ ...jwt, jwks: { uri: "issuer.example/jwks" } }, 'identity.jwks.uri: got "issuer.example/jwks", expected a URL'],
    [{ ...jwt, jwks: { uri: "https://me:secret@issuer.example/" } }, "identity.jwks.uri: got"],
    [{ ...jwt, jwks: { uri: "https://issuer.example/#keys" } }, "identity.jwks.uri: got"],
    [{ ...jwt, resource: "mcp.example.com" }, 'identity.resource: got "mcp.example.com", expected a URL'],
    [{ ...jwt, resource: "https://mcp.example.com/?a" }, "identity.resource: got"],
    [{ ...jwt, scopes: ["a b"] }, 'identity.scopes[0]: got "a b", expected a scope'],
    [{ ...jwt, scopes: ['"'] }, "identity.scopes[0]: got"],
    [{ ...jwt, authorizationServers: [] }, "identity.authorizationServers: got [], expected at least one URL"],
    [{ ...jwt, required: "no" }, 'identity.required: got "no", expected true or false'],
    [{ ...jwt, name: "x-user" }, 'identity: unknown setting "name"'],
    [{ kind: "header" }, "identity.name: "],
    [{ kind: "header", name: ":path" }, 'identity.name: got ":path", expected the name of a header'],
    [
      { kind: "header", name: "Authorization" },
      'identity.name: got "authorization", expected a header that identifies',
    ],
    [{ kind: "header", name: "x-mcp-session" }, 'identity.name: got "x-mcp-session"'],
  ])("that is wrong: %j", (identity, error) => {
    expect(errorsOf({ identity })).toEqual([expect.stringContaining(error)]);
  });

  test("by tokens takes the keys from a URL, which Envoy fetches every ten minutes by default", () => {
    const jwksOf = (jwks: object) => (load({ identity: { ...jwt, jwks } }).identity as { jwks: object }).jwks;
    expect(jwksOf({ uri: "https://issuer.example/jwks?a=b" })).toEqual({
      kind: "uri",
      uri: { href: "https://issuer.example/jwks?a=b", tls: true, host: "issuer.example", port: 443 },
      ca: undefined,
      refresh: 10 * minutes,
    });
    expect(jwksOf({ uri: "http://[::1]:8080", ca: "/ca.pem", refresh: "1h" })).toEqual({
      kind: "uri",
      uri: { href: "http://[::1]:8080", tls: false, host: "::1", port: 8080 },
      ca: "/ca.pem",
      refresh: 60 * minutes,
    });
  });

  describe("by tokens tells clients where to get one", () => {
    const metadataOf = (over: object) => {
      const { identity } = requestPolicy(load({ identity: { ...jwt, ...over } }));
      return identity.kind === "jwt" ? identity.metadata : undefined;
    };
    const hosts = { gateway: { hosts: ["h"] }, backends: WITHOUT_TOKENS };

    test("as it is written", () => {
      const written = {
        resource: "https://h/mcp",
        scopes: ["mcp", "files:read"],
        authorizationServers: ["https://a", "https://b/x"],
      };
      expect(metadataOf(written)).toEqual(written);
    });

    test("unless its issuer is no URL, of which it warns", () => {
      expect(metadataOf({ issuer: "issuer" })).toBeUndefined();
      expect(warningsOf({ ...hosts, identity: { ...jwt, issuer: "issuer" } })).toContainEqual(
        expect.stringContaining("identity.authorizationServers: not set, and identity.issuer is no URL"),
      );
      expect(metadataOf({ issuer: "issuer", authorizationServers: ["https://a"] })).toMatchObject({
        authorizationServers: ["https://a"],
      });
    });

    test("and warns where policy asks for scopes and clients are told of none", () => {
      const policy = [{ allow: { tools: ["*"] }, when: { scope: "a" } }];
      const told = { ...jwt, scopes: ["mcp"] };
      expect(warningsOf({ ...hosts, policy, identity: told })).toEqual([]);
      expect(warningsOf({ ...hosts, policy, identity: { ...jwt, scopes: [] } })).toEqual([
        expect.stringContaining("identity.scopes: not set, though policy asks for scopes"),
      ]);
    });

    test("and warns of a scope that is none of a resource", () => {
      expect(warningsOf({ ...hosts, identity: { ...jwt, scopes: ["mcp", "offline_access"] } })).toEqual([
        expect.stringContaining("identity.scopes: offline_access"),
      ]);
    });

    test.each([
      ["https://h/mcp", "/mcp", false],
      ["https://h", "/mcp", false],
      ["https://h/", "/mcp", false],
      ["https://h/mcp/", "/mcp/files", false],
      ["https://h/mcp", "/mcpx", true],
      ["https://h/mcp", "/other", true],
    ])("whose resource is %s, and a client of %s refuses it: %s", (resource, path, refuses) => {
      const routes = [{ path, backends: ["one"] }];
      expect(warningsOf({ ...hosts, routes, identity: { ...jwt, resource } })).toEqual(
        refuses ? [expect.stringContaining(`identity.resource: the route ${path} is not below ${resource}`)] : [],
      );
    });
  });

  test("by a header warns that a client's own copy must be removed", () => {
    const gateway = { hosts: ["h"] };
    expect(warningsOf({ gateway, identity: { kind: "header", name: "x-user" } })).toEqual([
      expect.stringContaining("must set x-user and remove the client's own copy"),
    ]);
    expect(warningsOf({ gateway, identity: jwt, backends: WITHOUT_TOKENS })).toEqual([]);
  });

  test("of nobody warns of a backend that is chosen by it", () => {
    const warned = (identity: object | undefined) =>
      warningsOf({
        gateway: { hosts: ["h"] },
        ...(identity && { identity }),
        backends: { one: { endpoints: ["10.0.0.1:80"], credentials: "none", affinity: "principal" } },
        routes: [{ path: "/mcp", backends: ["one"] }],
      });
    expect(warned(undefined)).toEqual([expect.stringContaining("backends.one.affinity: has no effect")]);
    expect(warned(jwt)).toEqual([]);
  });

  test.each([
    ["Mcp-Session-Id", "sessions keep to their endpoint anyway"],
    ["cookie", "changes with each of them"],
    ["authorization", "take affinity: principal"],
    ["x-forwarded-for", "changes with the client's network"],
  ])("affinity by a header that is no key causes a warning: %s", (header, why) => {
    const backends = { one: { endpoints: ["10.0.0.1:80"], affinity: { header } } };
    const [warning, ...others] = warningsOf({ gateway: { hosts: ["h"] }, backends });
    expect(warning).toContain(`backends.one.affinity.header: ${header.toLowerCase()} is no key`);
    expect(warning).toContain(why);
    expect(others).toEqual([]);
  });

  test("affinity by a header of the operator's causes none", () => {
    const backends = { one: { endpoints: ["10.0.0.1:80"], affinity: { header: "x-tenant" } } };
    expect(warningsOf({ gateway: { hosts: ["h"] }, backends })).toEqual([]);
  });

  test.each(["x-forwarded-user", "X-Real-IP", "forwarded"])(
    "a header that Envoy removes causes a warning, unless a proxy is trusted: %s",
    (name) => {
      const identity = { kind: "header", name };
      const removed = expect.stringMatching(
        `^identity.name: Envoy removes ${name.toLowerCase()} and .* gateway.trustedHops`,
      );
      expect(warningsOf({ identity })).toContainEqual(removed);
      expect(warningsOf({ gateway: { trustedHops: 1 }, identity })).not.toContainEqual(removed);
    },
  );
});
