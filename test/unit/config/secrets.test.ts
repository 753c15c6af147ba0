import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { loadConfig } from "../../../src/config/load.ts";
import { withoutSecrets } from "../../../src/config/redact.ts";

const SECRET = "hunter2secret";
const BASE = { backends: { one: { endpoints: ["h:1"] } }, routes: [{ path: "/mcp", backends: ["one"] }] };

function errorsIn(text: string): string {
  const loaded = loadConfig(text);
  if (loaded.ok) throw new Error("the configuration was taken");
  expect(loaded.errors.length).toBeGreaterThan(0);
  return loaded.errors.join("\n");
}

const redis = (url: string) => ({ store: { kind: "redis", url } });

describe("a configuration is refused without showing its secrets:", () => {
  test.each<[string, object]>([
    ["a port out of range", redis(`redis://:${SECRET}@10.0.0.9:99999`)],
    ["a path", redis(`redis://user:${SECRET}@10.0.0.9:6379/db`)],
    ["a slash in the password", redis(`redis://user:${SECRET}/x@10.0.0.9:6379`)],
    ["an @ in the password, and no host", redis(`redis://user:x@${SECRET}/db`)],
    ["a misspelt scheme", redis(`reddis://user:${SECRET}@10.0.0.9:6379`)],
    ["no scheme", redis(`user:${SECRET}@10.0.0.9:6379`)],
    ["no host", redis(`redis://:${SECRET}`)],
    ["a password in place of the URL", redis(SECRET)],
    ["a list of URLs", { store: { kind: "redis", url: [`redis://:${SECRET}@h:1`, SECRET] } }],
    ["a setting that does not exist", { store: { kind: "redis", url: "redis://h", password: SECRET } }],
    ["one in place of a number", { store: { kind: "redis", url: "redis://h", database: SECRET } }],
    ["one in place of a section", { store: { kind: "redis", url: "redis://h", tls: SECRET } }],
    ["a section that is a text", { store: `redis://:${SECRET}@10.0.0.9:6379` }],
    ["a section that is the password", { store: SECRET }],
    ["a section that is a list", { store: [{ kind: "redis", url: SECRET }] }],
    ["a kind that is missing", { store: { url: `redis://:${SECRET}@10.0.0.9:6379` } }],
    ["a kind that is the URL", { store: { kind: `redis://:${SECRET}@10.0.0.9:6379` } }],
    ["a name that is the URL", { store: { [`redis://:${SECRET}@10.0.0.9:6379`]: null } }],
    ["a name with the password in it", { store: { [`password=${SECRET}`]: null } }],
    ["a URL of keys with a user", jwt({ uri: `https://u:${SECRET}@x/` })],
    ["a URL of keys with a token", jwt({ uri: `https://x y/?token=${SECRET}` })],
    ["a URL in place of the keys", jwt(`https://u:${SECRET}@x/`)],
    ["an endpoint with a user", { backends: { one: { endpoints: [`http://u:${SECRET}@h:1`] } } }],
    ["a URL of a backend", { backends: { one: { endpoints: ["h:1"], url: `http://u:${SECRET}@h:1/mcp` } } }],
    ["a backend's name", { backends: { [`http://u:${SECRET}@h:1`]: { endpoints: ["h:1"] } } }],
    ["a route's backend", { routes: [{ path: "/mcp", backends: [`u:${SECRET}@h:1`] }] }],
    ["the backends of a federated route", { routes: [{ path: "/mcp", backends: ["one", `u:${SECRET}@h:1`] }] }],
    ["an unknown section", { redis: { password: SECRET } }],
    ["a section that moved", { gateway: { listen: { password: SECRET, token: SECRET } } }],
    ["an origin", { gateway: { origins: [`https://u:${SECRET}@app.example`] } }],
  ])("%s", (_, over) => {
    expect(errorsIn(stringify({ ...BASE, ...over }))).not.toContain(SECRET);
  });

  test.each([
    `store: { kind: redis, url: "redis://:${SECRET}@10.0.0.9:6379" ]\n`,
    `store:\n  url: "redis://:${SECRET}@h\n  kind: redis\n`,
    `store:\n  password: *${SECRET}\n`,
    `store:\n  password: !${SECRET} x\n`,
    `store:\n  password: "\\${SECRET}"\n`,
    `store:\n  password: |${SECRET}\n   x\n`,
    `store:\n  password: @${SECRET}\n`,
    `store:\n  password: a: ${SECRET}\n`,
    `store:\n  ${SECRET}: 1\n  ${SECRET}: 2\n`,
    `%${SECRET} x\n---\na: 1\n`,
    `store: [${SECRET}\n`,
    `store: "a" ${SECRET}\n`,
    `? ${SECRET}: 1\n: - x\n -y\n`,
    `a: 1\n---\n${SECRET}: 1\n`,
  ])("invalid YAML: %j", (text) => {
    expect(errorsIn(text)).not.toContain(SECRET);
  });
});

function jwt(jwks: unknown) {
  return { identity: { kind: "jwt", issuer: "i", audiences: ["a"], jwks } };
}

test.each([
  ["redis://:p@h:6379", "redis://***@h:6379"],
  ["redis://u:p@h:6379/0", "redis://***@h:6379/0"],
  ["rediss://u:a@b@h:6379", "rediss://***@h:6379"],
  ["u:p@h:6379", "***@h:6379"],
  ["redis://u:a@b", "redis://***@***"],
  ["https://h/path?token=x", "https://h/path?***"],
  ["127.0.0.1:8080", "127.0.0.1:8080"],
  ["what?", "what?"],
])("%s is shown as %s", (text, visible) => {
  expect(withoutSecrets(text)).toBe(visible);
});

test("an error without secrets still tells where, and what was expected", () => {
  expect(errorsIn(stringify({ ...BASE, ...redis("redis://:p@h:99999") }))).toBe(
    'store.url: got redis://***@h:99999, expected a URL such as "redis://127.0.0.1:6379" or "rediss://redis.example:6379/1"',
  );
  expect(errorsIn("a: 1\nb: [\n")).toMatch(/^not YAML: Flow sequence .* at line \d, column \d+$/);
});
