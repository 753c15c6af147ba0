/** Tokens that are exchanged at a real token endpoint on loopback. */
import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ExchangeCredentials } from "../../../src/core/credentials.ts";
import type { Credential } from "../../../src/credentials/credentials.ts";
import { type ExchangeEvent, Exchanges } from "../../../src/credentials/exchanges.ts";
import { createTokenServer, type TokenServer } from "../../../src/credentials/token-server.ts";
import { startTokenEndpoint, subjectOf, type TokenEndpoint, unsignedToken } from "../../support/token-endpoint.ts";

const SECRET = "secret-of-the-gateway";
const KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });

let endpoint: TokenEndpoint;
let server: TokenServer;
let events: ExchangeEvent[];
/** ms that the clock is ahead. */
let ahead: number;
let limits = { count: 100_000, bytes: 1024 ** 3 };
let exchanges: Exchanges;

beforeEach(async () => {
  endpoint = await startTokenEndpoint();
  server = createTokenServer({
    textOf: (kind) => ({ "client-secret": SECRET, "client-key": KEY as string })[kind as "client-key"],
  });
  events = [];
  ahead = 0;
  limits = { count: 100_000, bytes: 1024 ** 3 };
  exchanges = new Exchanges({
    server,
    limits: () => limits,
    observe: (event) => events.push(event),
    now: () => Date.now() + ahead,
  });
});
afterEach(async () => {
  await server.close();
  await endpoint.close();
});

const api = (over: Partial<ExchangeCredentials> = {}): ExchangeCredentials => ({
  kind: "exchange",
  endpoint: `${endpoint.url}/token`,
  audience: "api",
  resource: undefined,
  scopes: [],
  client: { kind: "secret", id: "gateway", file: "/secret", method: "basic" },
  ca: undefined,
  timeout: 2_000,
  pause: 5_000,
  ...over,
});

const bearer = (sub: string, claims: object = {}) =>
  `Bearer ${unsignedToken({ iss: "https://issuer.example", sub, ...claims })}`;

async function tokenOf(credential: Credential | Promise<Credential>): Promise<string> {
  const held = await credential;
  if (held.kind !== "held") throw new Error(`no token: ${held.why}`);
  const [[name, value] = []] = held.headers;
  expect(name).toBe("authorization");
  return value?.replace("Bearer ", "") ?? "";
}

test("a thousand principals at ten backends take one exchange each, and are never given another's", async () => {
  const users = Array.from({ length: 1_000 }, (_, n) => ({ sub: `user-${n}`, authorization: bearer(`user-${n}`) }));
  const backends = Array.from({ length: 10 }, (_, n) => `api-${n}`);
  const all = async () => {
    // A thousand at once: how long one waits for its turn depends on the machine.
    for (const backend of backends)
      await Promise.all(
        users.map(async ({ sub, authorization }) => {
          const of = api({ audience: backend, timeout: 120_000 });
          expect(subjectOf(await tokenOf(exchanges.of(backend, of, authorization)))).toBe(sub);
        }),
      );
  };
  await all();
  await all();
  expect(endpoint.exchanges).toHaveLength(10_000);
  expect(exchanges.kept).toBe(10_000);
}, 240_000);

describe("the tokens that are kept", () => {
  test("are no more than may be, and those used longest ago go", async () => {
    limits = { count: 10, bytes: 1024 ** 3 };
    for (let n = 0; n < 30; n++) await exchanges.of("api", api(), bearer(`user-${n}`));
    expect(exchanges.kept).toBe(10);
    await exchanges.of("api", api(), bearer("user-29"));
    expect(endpoint.exchanges).toHaveLength(30);
    await exchanges.of("api", api(), bearer("user-0"));
    expect(endpoint.exchanges).toHaveLength(31);
  });

  test("take no more bytes than they may", async () => {
    limits = { count: 1_000, bytes: 10_000 };
    for (let n = 0; n < 30; n++) await exchanges.of("api", api(), bearer(`user-${n}`));
    expect(exchanges.keptBytes).toBeLessThanOrEqual(10_000);
    expect(exchanges.kept).toBeGreaterThan(0);
  });

  test("are for one client's token that was refreshed, and for no other of the same subject", async () => {
    const first = await tokenOf(exchanges.of("api", api(), bearer("ada", { jti: "1" })));
    expect(await tokenOf(exchanges.of("api", api(), bearer("ada", { jti: "2", iat: 1 })))).toBe(first);
    expect(await tokenOf(exchanges.of("api", api(), bearer("ada", { scope: "less" })))).not.toBe(first);
    expect(await tokenOf(exchanges.of("api", api(), bearer("ada", { iss: "https://other.example" })))).not.toBe(first);
    expect(await tokenOf(exchanges.of("api", api({ scopes: ["more"] }), bearer("ada")))).not.toBe(first);
    expect(await tokenOf(exchanges.of("other", api(), bearer("ada")))).not.toBe(first);
  });

  test("are used until their own end, and are renewed before it while they are used", async () => {
    const authorization = bearer("ada");
    const first = await tokenOf(exchanges.of("api", api(), authorization));
    ahead = 250_000;
    expect(await tokenOf(exchanges.of("api", api(), authorization))).toBe(first);
    await expect.poll(() => events.length).toBe(2);
    const second = await tokenOf(exchanges.of("api", api(), authorization));
    expect(second).not.toBe(first);
    // A renewal that fails changes nothing before the end, and does not happen with each request.
    endpoint.say(() => ({ status: 503, body: "" }));
    ahead += 250_000;
    for (let n = 0; n < 5; n++) expect(await tokenOf(exchanges.of("api", api(), authorization))).toBe(second);
    await expect.poll(() => events.length).toBe(3);
    ahead += 60_000;
    expect(await exchanges.of("api", api(), authorization)).toMatchObject({ kind: "none" });
  });

  test("are dropped once they have ended, also where nobody asks for them again", async () => {
    for (let n = 0; n < 5; n++) await exchanges.of("api", api(), bearer("ada", { session: n }));
    const one = exchanges.keptBytes / 5;
    expect(exchanges.kept).toBe(5);
    ahead += 301_000;
    await exchanges.of("api", api(), bearer("ada", { session: 9 }));
    expect(exchanges.keptBytes).toBeLessThan(2 * one);
    expect(exchanges.kept).toBe(1);
    // What is told of them drops them too.
    ahead += 301_000;
    expect(exchanges.kept).toBe(0);
    expect(exchanges.keptBytes).toBe(0);
  });

  test("do not count once their backend has refused them", async () => {
    const credential = await exchanges.of("api", api(), bearer("ada"));
    if (credential.kind === "held") credential.refused();
    expect(exchanges.kept).toBe(0);
  });

  test("go where their backend refuses them, once in ten seconds", async () => {
    const authorization = bearer("ada");
    const refusal = async () => {
      const held = await exchanges.of("api", api(), authorization);
      if (held.kind === "held") held.refused();
    };
    for (let n = 0; n < 5; n++) await refusal();
    expect(endpoint.exchanges).toHaveLength(2);
    ahead += 11_000;
    for (let n = 0; n < 5; n++) await refusal();
    expect(endpoint.exchanges).toHaveLength(3);
  });
});

test("requests that come at once wait for one exchange", async () => {
  const tokens = await Promise.all(
    Array.from({ length: 50 }, () => tokenOf(exchanges.of("api", api(), bearer("ada")))),
  );
  expect(new Set(tokens).size).toBe(1);
  expect(endpoint.exchanges).toHaveLength(1);
});

test("without a client's token there is none", async () => {
  for (const authorization of [undefined, "Basic YTpi", "Bearer "])
    expect(await exchanges.of("api", api(), authorization)).toMatchObject({ kind: "held", headers: [] });
  expect(endpoint.exchanges).toEqual([]);
});

const JSON_OF = (over: object) => ({
  status: 200,
  body: JSON.stringify({ token_type: "Bearer", expires_in: 60, access_token: "opaque", ...over }),
});

describe("no token comes", () => {
  test.each([
    ["of a refusal", { status: 400, body: '{"error":"invalid_target"}' }, "refused", "400 (invalid_target)"],
    ["of a redirect", { status: 302, body: "", headers: { location: "http://127.0.0.1:1/" } }, "refused", "302"],
    ["of a page", { status: 200, body: "<html>" }, "wrong", "no JSON"],
    ["of an answer that is too long", { status: 200, body: "x".repeat(65 * 1024) }, "wrong", "too long"],
    ["of another type", JSON_OF({ token_type: "N_A" }), "wrong", "no bearer"],
    [
      "of a refresh token",
      JSON_OF({ issued_token_type: "urn:ietf:params:oauth:token-type:refresh_token" }),
      "wrong",
      "no access",
    ],
    ["of a line break", JSON_OF({ access_token: "a\r\nx-evil: 1" }), "wrong", "no token of a header"],
    ["of a token that has ended", JSON_OF({ expires_in: 0 }), "wrong", "has ended"],
    ["of no number", JSON_OF({ expires_in: "soon" }), "wrong", "has ended"],
    [
      "of another subject",
      JSON_OF({ access_token: unsignedToken({ sub: "eve", aud: "api" }) }),
      "wrong",
      "another subject",
    ],
    [
      "of another audience",
      JSON_OF({ access_token: unsignedToken({ sub: "ada", aud: "x" }) }),
      "wrong",
      "another audience",
    ],
    ["of an outage", { status: 503, body: "", headers: { "retry-after": "7" } }, "unavailable", "503"],
  ])("%s, and nothing is kept", async (_, said, outcome, why) => {
    endpoint.say(({ subject }) => (subject === "ada" ? said : undefined));
    const credential = await exchanges.of("api", api(), bearer("ada"));
    expect(credential).toMatchObject({ kind: "none", why: expect.stringContaining(why) });
    expect(events).toMatchObject([{ backend: "api", outcome, why: expect.stringContaining(why) }]);
    expect("retryAfter" in credential && credential.retryAfter).toBe(outcome === "unavailable" ? 7 : undefined);
    expect(exchanges.kept).toBe(0);
    // Another goes on, and so does this one once there is a token. Until a moment has passed it is not asked for.
    expect(subjectOf(await tokenOf(exchanges.of("api", api(), bearer("bob"))))).toBe("bob");
    endpoint.say(undefined);
    expect(await exchanges.of("api", api(), bearer("ada"))).toEqual(credential);
    expect(endpoint.exchanges).toHaveLength(2);
    ahead += outcome === "unavailable" ? 7_001 : 5_001;
    expect(subjectOf(await tokenOf(exchanges.of("api", api(), bearer("ada"))))).toBe("ada");
    expect(JSON.stringify(events)).not.toContain("ey");
  });

  test("of a server that is not there, which says nothing of secrets", async () => {
    await endpoint.close();
    const credential = await exchanges.of("api", api(), bearer("ada"));
    expect(credential).toMatchObject({
      kind: "none",
      why: "the token endpoint cannot be asked: ECONNREFUSED",
      retryAfter: 5,
    });
    await endpoint.reopen();
  });
});

describe("a token endpoint that fails for some of those who ask", () => {
  const failures = async (of: ExchangeCredentials) => {
    for (let n = 0; n < 3; n++)
      expect(await exchanges.of("one", of, bearer(`user-${n}`))).toMatchObject({ kind: "none" });
  };

  test("goes on for a backend with other settings for it", async () => {
    endpoint.say(() => ({ status: 503, body: "" }));
    await failures(api({ timeout: 1_999 }));
    endpoint.say(undefined);
    expect(await exchanges.of("one", api({ timeout: 1_999 }), bearer("ada"))).toMatchObject({ kind: "none" });
    expect(subjectOf(await tokenOf(exchanges.of("other", api(), bearer("ada"))))).toBe("ada");
  });

  test("goes on for other users where it has told some to come later", async () => {
    endpoint.say(() => ({ status: 429, body: "", headers: { "retry-after": "7" } }));
    await failures(api());
    expect(await exchanges.of("one", api(), bearer("eve"))).toMatchObject({ kind: "none", retryAfter: 7 });
    endpoint.say(undefined);
    expect(subjectOf(await tokenOf(exchanges.of("one", api(), bearer("ada"))))).toBe("ada");
  });
});

describe("one user for whom the token endpoint fails", () => {
  test("keeps it from nobody else, in however many sessions, and whenever the user comes back", async () => {
    endpoint.say(({ subject }) => (subject === "eve" ? { status: 500, body: "" } : undefined));
    for (let n = 0; n < 9; n++) {
      expect(await exchanges.of("api", api(), bearer("eve", { sid: n }))).toMatchObject({ kind: "none" });
      if (n % 3 === 0) ahead += 5_001;
    }
    expect(subjectOf(await tokenOf(exchanges.of("api", api(), bearer("ada"))))).toBe("ada");
  });

  test("tries it after an outage without leaving it closed", async () => {
    endpoint.say(() => ({ status: 500, body: "" }));
    for (const user of ["bob", "carl", "eve"]) await exchanges.of("api", api(), bearer(user));
    expect(await exchanges.of("api", api(), bearer("ada"))).toMatchObject({ kind: "none" });
    expect(endpoint.exchanges).toHaveLength(3);
    endpoint.say(({ subject }) => (subject === "eve" ? { status: 500, body: "" } : undefined));
    ahead += 5_001;
    await exchanges.of("api", api(), bearer("eve"));
    expect(endpoint.exchanges).toHaveLength(4);
    expect(subjectOf(await tokenOf(exchanges.of("api", api(), bearer("ada"))))).toBe("ada");
  });

  test("has it asked once in a moment, whatever it says", async () => {
    endpoint.say(() => ({ status: 400, body: '{"error":"invalid_grant"}' }));
    for (let n = 0; n < 30; n++) await exchanges.of("api", api(), bearer("eve", { jti: String(n) }));
    expect(endpoint.exchanges).toHaveLength(1);
    endpoint.say(() => ({ status: 429, body: "", headers: { "retry-after": "99999" } }));
    for (let n = 0; n < 30; n++) await exchanges.of("api", api(), bearer("bob"));
    expect(endpoint.exchanges).toHaveLength(2);
    ahead += 60_001;
    await exchanges.of("api", api(), bearer("bob"));
    expect(endpoint.exchanges).toHaveLength(3);
  });
});

describe("a token whose end is too far away", () => {
  test.each([
    ["is kept for a day", JSON_OF({ expires_in: 1e12 }).body, 24 * 60 * 60_000],
    [
      "is kept for a minute where its end is no number of a parser",
      JSON_OF({}).body.replace(":60,", ":1e999,"),
      60_000,
    ],
  ])("%s", async (_, body, lifetime) => {
    endpoint.say(() => ({ status: 200, body }));
    await tokenOf(exchanges.of("api", api(), bearer("ada")));
    ahead += lifetime - 6_000;
    expect(exchanges.kept).toBe(1);
    ahead += 6_000;
    expect(exchanges.kept).toBe(0);
  });
});

test("a server that hangs hangs no request for longer than the timeout, nor others after three", async () => {
  endpoint.say(() => "hold");
  const kept = api({ timeout: 100 });
  endpoint.say(undefined);
  const bob = await tokenOf(exchanges.of("api", kept, bearer("bob")));
  endpoint.say(() => "hold");
  for (let n = 0; n < 3; n++)
    expect(await exchanges.of("api", kept, bearer(`user-${n}`))).toMatchObject({
      kind: "none",
      why: expect.stringContaining("does not answer"),
    });
  const asked = endpoint.exchanges.length;
  expect(await exchanges.of("api", kept, bearer("ada"))).toMatchObject({ kind: "none", retryAfter: 5 });
  expect(endpoint.exchanges).toHaveLength(asked);
  // Who has a token goes on.
  expect(await tokenOf(exchanges.of("api", kept, bearer("bob")))).toBe(bob);
  endpoint.say(undefined);
  ahead += 5_001;
  expect(subjectOf(await tokenOf(exchanges.of("api", kept, bearer("ada"))))).toBe("ada");
});

describe("the gateway says who it is", () => {
  const asked = async (of: Partial<ExchangeCredentials>) => {
    await tokenOf(exchanges.of("api", api(of), bearer("ada")));
    return endpoint.exchanges.at(-1);
  };

  test("by its secret in a header, with what it wants", async () => {
    const request = await asked({ resource: "https://api.example/mcp", scopes: ["a", "b"] });
    const [, basic = ""] = request?.authorization?.split("Basic ") ?? [];
    // RFC 6749 §2.3.1: each part is form-encoded.
    expect(decodeURIComponent(Buffer.from(basic, "base64").toString())).toBe(`gateway:${SECRET}`);
    expect(request?.parameters).toMatchObject({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
      audience: "api",
      resource: "https://api.example/mcp",
      scope: "a b",
    });
  });

  test("by its secret in the body", async () => {
    const request = await asked({ client: { kind: "secret", id: "gateway", file: "/secret", method: "post" } });
    expect(request?.parameters).toMatchObject({ client_id: "gateway", client_secret: SECRET });
  });

  test("by its key", async () => {
    const client = {
      kind: "key",
      id: "gateway",
      file: "/key",
      alg: "ES256",
      keyId: "k1",
      audience: "https://as",
    } as const;
    const assertion = (await asked({ client }))?.parameters.client_assertion ?? "";
    const [header, payload] = assertion.split(".").map((part) => Buffer.from(part, "base64url").toString());
    expect(JSON.parse(header ?? "")).toMatchObject({ alg: "ES256", kid: "k1" });
    expect(JSON.parse(payload ?? "")).toMatchObject({ iss: "gateway", sub: "gateway", aud: "https://as" });
  });
});
