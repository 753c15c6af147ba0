/** How a router enters Redis: TLS, users, passwords, databases; and what it says where it is not let in. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { directoryOfTests } from "../support/directory.ts";
import { launchRouter, startFleet } from "../support/fleet.ts";
import { callTool, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

const PATH = "/mcp";
const USER = "router";
const PASSWORD = "p@ss:w/rd%";
const WRONG_PASSWORD = "wr0ng-passw0rd";
/** What the server's certificate names, and 127.0.0.1 beside it or not. */
const SERVER_NAME = "redis.test";

const directory = directoryOfTests("access");
let backend: TestServer;
/** Lets in a user with a password. */
let guarded: RunningRedis;
/** Has a certificate for 127.0.0.1. */
let encrypted: RunningRedis;
/** Has a certificate for SERVER_NAME, asks for a client's, and for a user with a password. */
let mutual: RunningRedis;

beforeAll(async () => {
  backend = await startMcpServer("one", { json: true, record: false });
  const [ca, otherCa] = await Promise.all([authority(), authority()]);
  const [local, named, client, stranger] = await Promise.all([
    certificate(ca, [{ type: 7, ip: "127.0.0.1" }]),
    certificate(ca, [{ type: 2, value: SERVER_NAME }]),
    certificate(ca, [{ type: 2, value: "client.test" }]),
    certificate(otherCa, [{ type: 2, value: "client.test" }]),
  ]);
  file("ca.pem", ca.cert);
  file("other-ca.pem", otherCa.cert);
  for (const [name, { cert, key }] of Object.entries({ client, stranger })) {
    file(`${name}.pem`, cert);
    file(`${name}-key.pem`, key);
  }
  file("password", `${PASSWORD}\n`);
  file("wrong-password", WRONG_PASSWORD);
  [guarded, encrypted, mutual] = await Promise.all([
    startRedis({ aclUser: USER, password: PASSWORD }),
    startRedis({ tls: local }),
    startRedis({ tls: { ...named, ca: ca.cert }, aclUser: USER, password: PASSWORD }),
  ]);
});
afterAll(async () => {
  await Promise.all([guarded?.stop(), encrypted?.stop(), mutual?.stop(), backend?.close()]);
});

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

interface Pair {
  readonly cert: string;
  readonly key: string;
}

async function authority(): Promise<Pair> {
  const made = await generate([{ name: "commonName", value: "Test CA" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, critical: true },
    ],
  });
  return { cert: made.cert, key: made.private };
}

async function certificate(
  ca: Pair,
  altNames: ({ type: 2; value: string } | { type: 7; ip: string })[],
): Promise<Pair> {
  const made = await generate([{ name: "commonName", value: "test" }], {
    keyType: "ec",
    algorithm: "sha256",
    ca,
    extensions: [{ name: "subjectAltName", altNames }],
  });
  return { cert: made.cert, key: made.private };
}

function file(name: string, text?: string): string {
  const path = join(directory, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
}

/** The client certificate of this name, and whom to trust. */
const tls = (client: string, ca = "ca") => ({
  ca: file(`${ca}.pem`),
  cert: file(`${client}.pem`),
  key: file(`${client}-key.pem`),
  serverName: SERVER_NAME,
});

type Store = Readonly<Record<string, unknown>>;

function sections(store: Store) {
  return {
    log: { level: "trace" },
    store: { kind: "redis", ...store },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  };
}

const at = ({ port }: RunningRedis, scheme: string, rest = "") => `${scheme}://${rest}127.0.0.1:${port}`;
const login = (password: string) => `${USER}:${encodeURIComponent(password)}@`;

function keysIn(redis: RunningRedis, database: number): Promise<unknown> {
  return redis.command("EVAL", "redis.call('SELECT', ARGV[1]) return redis.call('KEYS', '*')", 0, database);
}

describe("sessions are kept in a Redis that is entered", () => {
  test.each<[string, () => { redis: RunningRedis; database: number; prefix: string; store: Store }]>([
    [
      "by TLS with an authority of one's own",
      () => ({
        redis: encrypted,
        database: 0,
        prefix: "mcpr",
        store: { url: at(encrypted, "rediss"), tls: { ca: file("ca.pem") } },
      }),
    ],
    [
      "by TLS with a client certificate and the name of the server, as a user with the password in a file",
      () => ({
        redis: mutual,
        database: 3,
        prefix: "team-a.mcp",
        store: {
          url: at(mutual, "rediss"),
          tls: tls("client"),
          username: USER,
          passwordFile: file("password"),
          database: 3,
          prefix: "team-a.mcp",
        },
      }),
    ],
    [
      "by a URL with user, password and database",
      () => ({
        redis: guarded,
        database: 5,
        prefix: "mcpr",
        store: { url: `${at(guarded, "redis", login(PASSWORD))}/5` },
      }),
    ],
  ])("%s", async (_, given) => {
    const { redis, database, prefix, store } = given();
    const fleet = await startFleet(1, sections(store));
    owner.defer(() => fleet.stop());
    const session = await openSession(fleet.port, PATH);
    expect(await callTool(fleet.port, PATH, session, "echo", { text: "hi" })).toContain("hi");
    const key = expect.stringMatching(new RegExp(`^${prefix.replaceAll(".", "\\.")}:\\{[\\w-]{43}\\}:s$`));
    const keys = (await keysIn(redis, database)) as string[];
    expect(keys).toHaveLength(3);
    expect(keys).toEqual(expect.arrayContaining([key, `${prefix}:{leases}:all`, `${prefix}:{leases}:uses`]));
    expect(fleet.routers[0]?.child.output()).not.toContain(PASSWORD);
  });
});

describe("a router that is not let in is up, not ready, and says why", () => {
  const certificateUntrusted = /^its certificate is not trusted: \w+ \(store\.tls\.ca /;
  const wrongPassword = /^it refuses the user name or the password \(WRONGPASS\)$/;
  const closed =
    /^it closes the connection without an error: does it require TLS \(rediss:\/\/\), or a client certificate/;
  test.each<[string, RegExp, () => Store]>([
    [
      "an authority that is not the server's",
      certificateUntrusted,
      () => ({ url: at(encrypted, "rediss"), tls: { ca: file("other-ca.pem") } }),
    ],
    ["no authority", certificateUntrusted, () => ({ url: at(encrypted, "rediss") })],
    [
      "a server name that the certificate does not have",
      /^its certificate is for another name: Host: elsewhere\.test\. is not .*store\.tls\.serverName/,
      () => ({ url: at(encrypted, "rediss"), tls: { ca: file("ca.pem"), serverName: "elsewhere.test" } }),
    ],
    [
      "no client certificate",
      /^it requires a client certificate: set store\.tls\.cert and store\.tls\.key$/,
      () => ({ url: at(mutual, "rediss"), tls: { ca: file("ca.pem"), serverName: SERVER_NAME } }),
    ],
    [
      "a client certificate of another authority",
      closed,
      () => ({ url: at(mutual, "rediss", login(PASSWORD)), tls: tls("stranger") }),
    ],
    ["no TLS where it is asked for", closed, () => ({ url: at(encrypted, "redis") })],
    [
      "a wrong password in a file",
      wrongPassword,
      () => ({ url: at(guarded, "redis"), username: USER, passwordFile: file("wrong-password") }),
    ],
    ["a wrong password in the URL", wrongPassword, () => ({ url: at(guarded, "redis", login(WRONG_PASSWORD)) })],
    [
      "a user whom Redis does not have",
      wrongPassword,
      () => ({ url: at(guarded, "redis"), username: "nobody", passwordFile: file("password") }),
    ],
    ["no password", /^it requires a password \(NOAUTH\)$/, () => ({ url: at(guarded, "redis") })],
    [
      "a database that Redis does not have",
      /^ERR DB index is out of range$/,
      () => ({ url: at(guarded, "redis", login(PASSWORD)), database: 1_000 }),
    ],
  ])("%s", async (_, why, store) => {
    const { router, stop } = await launchRouter(sections(store()));
    owner.defer(stop);
    const told = expect.objectContaining({ level: ERROR, why: expect.stringMatching(why) });
    await expect.poll(() => unreachable(router.child.output())).toContainEqual(told);
    expect(await router.readiness()).toBe(503);
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), WRONG_PASSWORD])
      expect(router.child.output()).not.toContain(secret);
  });
});

test("each reason is told once, however often it is met, until Redis is reached", async () => {
  const port = await freePort();
  const { router, stop } = await launchRouter(
    sections({ url: `redis://127.0.0.1:${port}`, passwordFile: file("password") }),
  );
  owner.defer(stop);
  const whys = () => unreachable(router.child.output()).map(({ why }) => why);
  const refused = `connect ECONNREFUSED 127.0.0.1:${port}`;
  await expect.poll(whys).toEqual([refused]);

  const redis = await startRedis({ port, password: "another" });
  owner.defer(() => redis.stop().then(() => undefined));
  const connections = async () =>
    Number(/total_connections_received:(\d+)/.exec(String(await redis.command("INFO", "stats")))?.[1]);
  const enough = (await connections()) + 10;
  await expect.poll(connections).toBeGreaterThan(enough);
  expect(whys()).toEqual([refused, "it refuses the user name or the password (WRONGPASS)"]);
  expect(await router.readiness()).toBe(503);

  await redis.command("ACL", "SETUSER", "default", `>${PASSWORD}`);
  await expect.poll(router.readiness).toBe(200);
  await redis.kill();
  // The kernel may reset the connection that stood, which is a reason of its own.
  const since = () => whys().slice(2);
  await expect.poll(since).toContain(refused);
  expect(since().filter((why) => why !== "read ECONNRESET")).toEqual([refused]);
  // Once reached, it stays ready: Envoy gets the refusals of its sessions and goes on with the rest.
  expect(await router.readiness()).toBe(200);
});

/** pino's number for the level. */
const ERROR = 50;

/** What the log has of a Redis that cannot be reached. */
function unreachable(output: string): { level: number; why: string }[] {
  return output
    .split("\n")
    .filter((line) => line.includes("Redis cannot be reached"))
    .map((line) => JSON.parse(line));
}
