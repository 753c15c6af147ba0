import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { freePort } from "../../../harness/ports.ts";
import { temporaryDirectory } from "../../../harness/temporary.ts";
import { readConfigText } from "../../../src/config/read.ts";
import { type PinOptions, pin } from "../../../src/pins/pin.ts";
import { startListedServer } from "../../support/listed-server.ts";

/** Routes to one server whose tools are these, and to others. */
async function pinning(tools: readonly string[], backends: Readonly<Record<string, object>> = {}, secret = "") {
  const server = await startListedServer({ tools: [tools] });
  const directory = temporaryDirectory("pin");
  onTestFinished(async () => {
    directory.remove();
    await server.close();
  });
  const file = join(directory.path, "deep/er/pins.json");
  const secretFile = join(directory.path, "secret");
  writeFileSync(secretFile, secret);
  const credentials = secret === "" ? {} : { credentials: { header: "x-api-key", file: secretFile } };
  const text = stringify({
    gateway: { hosts: ["gw.example"] },
    egress: { listen: `127.0.0.1:${await freePort()}` },
    backends: { one: { endpoints: [server.endpoint], path: "/mcp", ...credentials }, ...backends },
    routes: [{ path: "/mcp", backends: ["one", ...Object.keys(backends)], federated: true, tools: { pin: file } }],
    lists: { timeout: "2s" },
  });
  const { config } = readConfigText("mcp-router.yaml", text);
  return {
    server,
    file,
    run: (options: PinOptions = {}) => pin(config, { direct: true, ...options }),
    written: () => JSON.parse(readFileSync(file, "utf8")).tools,
  };
}

test("makes the file and its folders, asking the servers themselves", async () => {
  const { run, written, file } = await pinning(['{"name":"b"}', '{"name":"a","inputSchema":{"type":"object"}}']);
  expect(await run()).toMatchObject({ isDone: false, lines: expect.arrayContaining(['new "one__a" of one']) });
  expect(() => written()).toThrow("ENOENT");
  expect(await run({ all: true })).toMatchObject({ isDone: true, errors: [] });
  expect(written()).toEqual([
    {
      name: "one__a",
      backend: "one",
      digests: [expect.stringMatching(/^sha256:[0-9a-f]{64}$/)],
      definition: { name: "one__a", inputSchema: { type: "object" } },
    },
    expect.objectContaining({ name: "one__b" }),
  ]);
  expect(await run()).toEqual({ isDone: true, errors: [], lines: [`${file}: 2 tools, all as accepted`] });
});

test("a server that wants the router's own credentials gets them", async () => {
  const { server, run } = await pinning(['{"name":"a"}'], {}, "s3cret");
  const { lines, isDone } = await run({ all: true });
  expect(isDone).toBe(true);
  expect(new Set(server.calls.map(({ headers }) => headers["x-api-key"]))).toEqual(new Set(["s3cret"]));
  expect(lines.join("\n")).not.toContain("s3cret");
});

test("accepts only what is named, and takes out what is gone", async () => {
  const { run, written, file } = await pinning(['{"name":"a"}', '{"name":"b"}']);
  expect(await run({ accept: ["one__b"] })).toMatchObject({
    isDone: true,
    lines: expect.arrayContaining([`${file}: written, 1 tool; not accepted as they are: 1 (--accept NAME, or --all)`]),
  });
  const [tool] = written();
  const gone = { ...tool, name: "one__gone" };
  writeFileSync(file, JSON.stringify({ version: 1, tools: [tool, gone] }));
  expect(await run({ accept: ["one__gone"] })).toMatchObject({ isDone: true });
  expect(written()).toEqual([tool]);
});

test("a server that does not answer is an error, and keeps what was accepted of it", async () => {
  const { run, written, file } = await pinning(['{"name":"a"}'], {
    away: { endpoints: [`127.0.0.1:${await freePort()}`] },
    guarded: { endpoints: ["127.0.0.1:443"], tls: { sni: "guarded.example" } },
  });
  await run({ all: true });
  const of = { name: "away__tool", backend: "away", digests: [`sha256:${"0".repeat(64)}`] };
  writeFileSync(file, JSON.stringify({ version: 1, tools: [...written(), of] }));
  expect(await run({ all: true })).toMatchObject({
    isDone: false,
    errors: [
      expect.stringMatching(/^backend away does not tell its tools: .*ECONNREFUSED/),
      expect.stringContaining("backend guarded does not tell its tools: it has TLS, and is asked through Envoy alone"),
    ],
  });
  expect(written()).toContainEqual(of);
});

test("through an Envoy that is not there no server answers", async () => {
  const { run } = await pinning(['{"name":"a"}']);
  const { errors, isDone } = await run({ direct: undefined });
  expect({ errors, isDone }).toEqual({ isDone: false, errors: [expect.stringContaining("ECONNREFUSED")] });
});

describe("a name to accept", () => {
  test.each([
    ["one__z", "--accept one__z: no tool of this name differs from what was accepted"],
    [`one__a=sha256:${"0".repeat(64)}`, "no backend of a pinned route has lists: principal and such a name"],
    ["own__a=sha256:0", "no tool of this name differs"],
    ["own__=sha256:", "no tool of this name differs"],
  ])("that nothing has is refused: %s", async (name, why) => {
    const { run } = await pinning(['{"name":"a"}'], { own: { endpoints: ["127.0.0.1:1"], lists: "principal" } });
    await expect(run({ accept: [name] })).rejects.toThrow(why);
  });
});

test("text of a server cannot move the cursor of a terminal", async () => {
  const { run } = await pinning(['{"name":"a","description":"x\\u001b[2J\\u202ey"}']);
  const { lines } = await run();
  expect(lines.join("\n")).toContain('  + description: "x\\u001b[2J\\u202ey"');
});

test("a configuration without pins, and a file that is none, are errors that say what to do", async () => {
  const { run, file } = await pinning(['{"name":"a"}']);
  await run({ all: true });
  writeFileSync(file, "[]");
  await expect(run({ all: true })).rejects.toThrow(`${file}: it is no JSON object; mend the file, or remove it`);
  const none = readConfigText(
    "f",
    "gateway: { hosts: [a.b] }\nbackends: { one: { endpoints: [h:1] } }\nroutes: [{ path: /mcp, backends: [one] }]\n",
  );
  await expect(pin(none.config, {})).rejects.toThrow("no route has tools.pin");
});
