import { generateKeyPairSync } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { type Credentialed, secretFilesOf } from "../../../src/core/credentials.ts";
import { createBackendCredentials } from "../../../src/credentials/backend-credentials.ts";
import { NOTHING_ADDED } from "../../../src/credentials/credentials.ts";
import { type SecretEvent, Secrets, secretFaults } from "../../../src/credentials/secrets.ts";
import { openSecrets } from "../../../src/open-credentials.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { directoryOfTests } from "../../support/directory.ts";

const directory = directoryOfTests("secrets");
const file = join(directory, "secret");

let events: SecretEvent[] = [];
let secrets = new Secrets((event) => events.push(event));
afterEach(() => {
  secrets.close();
  events = [];
  secrets = new Secrets((event) => events.push(event));
  rmSync(file, { force: true });
});

const header: Credentialed = { name: "gh", credentials: { kind: "header", name: "authorization", file, prefix: "" } };
const byKey: Credentialed = {
  name: "api",
  credentials: {
    kind: "exchange",
    endpoint: "https://idp/token",
    audience: "api",
    resource: undefined,
    scopes: [],
    client: { kind: "key", id: "g", file, alg: "ES256", keyId: undefined, audience: "https://idp" },
    ca: undefined,
    timeout: 1_000,
    pause: 1_000,
  },
};
const pemOf = (curve: string) =>
  String(generateKeyPairSync("ec", { namedCurve: curve }).privateKey.export({ type: "pkcs8", format: "pem" }));

/** By another file in its place, as Kubernetes does. */
function replace(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

test("a file is read again when it changes, without the line break at its end", async () => {
  writeFileSync(file, "first\n");
  secrets.want(secretFilesOf([header]));
  expect(secrets.textOf("header", file)).toBe("first");
  replace("second\r\n");
  await expect.poll(() => secrets.textOf("header", file)).toBe("second");
  expect(events).toEqual([{ kind: "read-again", file, setting: "backends.gh.credentials.file" }]);
});

test.each([
  ["empty", "\n", "is empty"],
  ["of two lines", "a\nx-evil: b", "is no value of a header"],
])("a file that becomes %s leaves its last text in use", async (_, text, why) => {
  writeFileSync(file, "first");
  secrets.want(secretFilesOf([header]));
  replace(text);
  await expect.poll(() => events).toMatchObject([{ kind: "kept", why: expect.stringContaining(why) }]);
  expect(secrets.textOf("header", file)).toBe("first");
  expect(JSON.stringify(events)).not.toContain("evil");
});

test("a file that goes away leaves its last text in use", async () => {
  writeFileSync(file, "first");
  secrets.want(secretFilesOf([header]));
  rmSync(file);
  await expect.poll(() => events).toMatchObject([{ kind: "kept", why: `cannot read ${file}: no such file` }]);
  expect(secrets.textOf("header", file)).toBe("first");
});

const LOG = createLogger("silent", {}, null, { write: () => undefined });

const missing: Credentialed = {
  name: "other",
  credentials: { kind: "header", name: "x-key", file: `${file}.none`, prefix: "" },
};
const MISSING = `backends.other.credentials.file: cannot read ${file}.none: no such file`;

test("a configuration lacks the files that cannot be used, unless a text of theirs is in use", () => {
  writeFileSync(file, "first");
  secrets.want(secretFilesOf([header]));
  expect(secretFaults([header, missing])).toEqual([MISSING]);
  expect(secrets.lacks([header, missing])).toEqual([MISSING]);
  rmSync(file);
  expect(secrets.lacks([header])).toBeUndefined();
  expect(secrets.textOf("header", file)).toBe("first");
  secrets.want([]);
  expect(secrets.textOf("header", file)).toBeUndefined();
});

test("a router does not start without a file", () => {
  const start = { file: "mcp-router.yaml", config: { backends: [missing] }, worker: undefined };
  expect(() => openSecrets(start, LOG)).toThrow(MISSING);
});

test("a worker starts without a file that is gone since, says that there is no credential, and uses it once it comes", async () => {
  const start = { file: "mcp-router.yaml", config: { backends: [header] }, worker: 0 };
  const opened = openSecrets(start, LOG);
  onTestFinished(() => opened.close());
  const of = () =>
    createBackendCredentials({ secrets: opened, exchanges: { of: () => NOTHING_ADDED } }).of(header, "-");
  expect(of()).toEqual({ kind: "none", why: `${file} is not read`, retryAfter: 1 });
  replace("late");
  await expect.poll(of).toMatchObject({ kind: "held", headers: [["authorization", "late"]] });
});

test("a key must sign by its algorithm", () => {
  writeFileSync(file, pemOf("prime256v1"));
  expect(secretFaults([byKey])).toEqual([]);
  for (const text of [pemOf("secp384r1"), "no key"]) {
    writeFileSync(file, text);
    expect(secretFaults([byKey])).toEqual([
      `backends.api.credentials.exchange.client.keyFile: ${file} is no private key in PEM that signs by ES256`,
    ]);
  }
});
