/** `backends.*.credentials`: what is written, what is wrong, and what is warned of. */
import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections, warningsOf } from "./sections.ts";

const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
const gateway = { hosts: ["h"] };
const withCredentials = (credentials: unknown, over: Sections = {}, backend: Sections = {}): Sections => ({
  gateway,
  identity: jwt,
  backends: { one: { endpoints: ["10.0.0.1:80"], credentials, ...backend } },
  ...over,
});
const client = { id: "gateway", secretFile: "/secret" };
const exchange = { endpoint: "https://idp.example/token", audience: "api", client };
const read = (credentials: unknown) => load(withCredentials(credentials)).backends[0];

describe("credentials", () => {
  test("are the client's own where nothing is written", () => {
    expect(load().backends[0]).toMatchObject({ credentials: { kind: "forward" }, lists: "shared" });
    expect(requestPolicy(load()).addsCredentials).toBe(false);
  });

  test("of each kind become what the core knows, with the lists that they make possible", () => {
    expect(read("none")).toMatchObject({ credentials: { kind: "none" }, lists: "shared" });
    expect(read("forward")).toMatchObject({ credentials: { kind: "forward" }, lists: "principal" });
    expect(read({ header: "X-Api-Key", file: "/f", prefix: "Key " })).toMatchObject({
      credentials: { kind: "header", name: "x-api-key", file: "/f", prefix: "Key " },
      lists: "shared",
    });
    expect(read({ exchange })).toMatchObject({
      credentials: {
        kind: "exchange",
        endpoint: "https://idp.example/token",
        audience: "api",
        resource: undefined,
        scopes: [],
        client: { kind: "secret", id: "gateway", file: "/secret", method: "basic" },
        ca: undefined,
        timeout: 5_000,
        pause: 5_000,
      },
      lists: "principal",
    });
    const byKey = { ...exchange, client: { id: "gateway", keyFile: "/key", alg: "ES256" } };
    expect(read({ exchange: byKey })?.credentials).toMatchObject({
      client: { kind: "key", file: "/key", alg: "ES256", keyId: undefined, audience: exchange.endpoint },
    });
  });

  test.each<[unknown, string]>([
    ["token", "backends.one.credentials: got a text that is not shown because it may be a secret, expected none"],
    [{}, "backends.one.credentials: expected header with file, or exchange"],
    [{ header: "x-key" }, "backends.one.credentials.file: missing"],
    [{ header: "a b", file: "/f" }, "backends.one.credentials.header: got"],
    [{ header: "x-key", file: "/f", pefix: "x" }, 'unknown setting "pefix"; did you mean "prefix"?'],
    [{ header: "Host", file: "/f" }, "backends.one.credentials.header: got host, which has a meaning of its own"],
    [{ header: "Cookie", file: "/f" }, "backends.one.credentials.header: got cookie"],
    [{ header: "mcp-session-id", file: "/f" }, "backends.one.credentials.header: got mcp-session-id"],
    [{ header: "x-forwarded-user", file: "/f" }, "backends.one.credentials.header: got x-forwarded-user"],
    [{ exchange, header: "x" }, "backends.one.credentials.header: has no place beside exchange"],
    [{ exchange: { ...exchange, endpoint: "http://idp.example/token" } }, "exchange.endpoint: got"],
    [{ exchange: { ...exchange, audience: undefined } }, "exchange: expected audience or resource"],
    [{ exchange: { ...exchange, client: { id: "x" } } }, "exchange.client: got neither, expected one of secretFile"],
    [{ exchange: { ...exchange, client: { ...client, keyFile: "/k" } } }, "exchange.client: got both"],
    [{ exchange: { ...exchange, client: { id: "x", keyFile: "/k" } } }, "exchange.client.alg: missing"],
    [
      { exchange: { ...exchange, client: { ...client, alg: "ES256" } } },
      "exchange.client.alg: applies only to keyFile",
    ],
    [{ exchange: { ...exchange, timeout: "40s" } }, "exchange.timeout: got 40s, expected at most 30s"],
    [{ exchange: { ...exchange, timeout: 5 } }, "exchange.timeout: got"],
  ])("that are wrong: %j", (credentials, error) => {
    expect(errorsOf(withCredentials(credentials))).toEqual([expect.stringContaining(error)]);
  });

  test("that need a token of the client's are refused where there is none", () => {
    expect(errorsOf(withCredentials({ exchange }, { identity: { kind: "none" } }))).toEqual([
      expect.stringContaining("backends.one.credentials.exchange: needs identity.kind jwt, got none"),
    ]);
    for (const credentials of ["forward", { exchange }])
      expect(errorsOf(withCredentials(credentials, {}, { lists: "shared" }))).toEqual([
        expect.stringContaining("backends.one.lists: got shared, expected principal"),
      ]);
  });

  test("are warned of where tokens of clients go on though nobody has said so", () => {
    expect(warningsOf({ gateway, identity: jwt })).toEqual([
      expect.stringContaining("backends.one.credentials: not set, so the backend gets clients' tokens"),
    ]);
    expect(warningsOf({ gateway })).toEqual([]);
    expect(warningsOf(withCredentials("none"))).toEqual([]);
  });
});
