import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { missingFiles } from "../../../src/config/files.ts";
import { readConfigText } from "../../../src/config/read.ts";
import { directoryOfTests } from "../../support/directory.ts";

const directory = directoryOfTests("files");
beforeAll(() => {
  writeFileSync(join(directory, "there"), "x");
});

function look(over: object) {
  const base = { backends: { one: { endpoints: ["h:1"] } }, routes: [{ path: "/mcp", backends: ["one"] }] };
  return missingFiles(readConfigText("f", JSON.stringify({ ...base, ...over })).config);
}
const away = "/no/such/file";

test("existing files cause no message", async () => {
  const there = join(directory, "there");
  const tls = { cert: there, key: there };
  const store = { kind: "redis", url: "redis://h", passwordFile: there, tls: { ca: there, ...tls } };
  expect(await look({ gateway: { tls }, store })).toEqual({ errors: [], envoys: [], warnings: [] });
});

test("each missing file of the router is an error", async () => {
  const store = { kind: "redis", url: "redis://h", passwordFile: away, tls: { ca: away, cert: away, key: away } };
  const settings = ["store.passwordFile", "store.tls.ca", "store.tls.cert", "store.tls.key"];
  expect(await look({ store })).toEqual({
    errors: settings.map((setting) => `${setting}: cannot read ${away}: no such file`),
    envoys: [],
    warnings: [],
  });
});

test("each missing file of Envoy is a warning, which may run on another machine, and said as an error for one on this", async () => {
  const jwt = (jwks: object) => ({ identity: { kind: "jwt", issuer: "i", audiences: ["a"], jwks } });
  const backends = { one: { endpoints: ["h:1"], tls: { sni: "h", ca: away } } };
  const settings = ["gateway.tls.cert", "gateway.tls.key", "backends.one.tls.ca", "identity.jwks.file"];
  const warning = (setting: string) =>
    `${setting}: ${away} cannot be read here: no such file; Envoy needs it on its machine`;
  expect(await look({ gateway: { tls: { cert: away, key: away } }, backends, ...jwt({ file: away }) })).toEqual({
    errors: [],
    envoys: settings.map((setting) => `${setting}: cannot read ${away}: no such file`),
    warnings: settings.map(warning),
  });
  expect((await look(jwt({ uri: "https://i/k", ca: away }))).warnings).toEqual([warning("identity.jwks.ca")]);
});

test.each([
  ["text", "x"],
  ["a key alone", '{"kty":"EC"}'],
  ["a list of keys", "[]"],
])("a key set of tokens that is %s is told of as a file that Envoy cannot use", async (_, text) => {
  const file = join(directory, "keys.json");
  writeFileSync(file, text);
  const identity = { kind: "jwt", issuer: "i", audiences: ["a"], jwks: { file } };
  const fault = 'expected a JSON Web Key Set (RFC 7517), as {"keys":[…]}';
  const { envoys, warnings } = await look({ identity });
  expect(envoys).toEqual([`identity.jwks.file: cannot read ${file}: ${fault}`]);
  expect(warnings).toEqual([
    `identity.jwks.file: ${file} cannot be read here: ${fault}; Envoy needs it on its machine`,
  ]);
});
