import { describe, expect, test } from "vitest";
import { serverInfoOf } from "../../../../src/core/federation/description.ts";
import { discoverResult, endOfModernList } from "../../../../src/core/federation/discover.ts";
import { readDiscover } from "../../../../src/core/federation/discover-read.ts";
import { type Offer, serverInfoIn } from "../../../../src/core/federation/offer.ts";
import type { FederatedRoute } from "../../../../src/core/routes.ts";
import { federatedRoute, memberOf } from "../../core/federated.ts";

function offer(capabilities: Readonly<Record<string, object>>, instructions?: string): Offer {
  const texts = Object.entries(capabilities).map(([name, value]) => [name, JSON.stringify(value)] as const);
  return { version: undefined, capabilities: new Map(texts), instructions, serverInfo: undefined };
}

/** Of backends of both eras. */
function discovered(route: FederatedRoute, offers: readonly (Offer | undefined)[]): string {
  return discoverResult(route, { offers, eras: offers.map(() => ({ speaksModern: true, inSession: true })) });
}

const TWO = federatedRoute([memberOf("files"), memberOf("git")], { stream: "own" });

describe("the answer to a server/discover", () => {
  test("of several backends has what any of them has and the gateway can deliver", () => {
    const result = discovered(TWO, [
      offer(
        {
          tools: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
          logging: {},
          tasks: { list: {} },
          extensions: { "a/x": { v: 1 }, "io.modelcontextprotocol/tasks": {} },
        },
        "Read first.",
      ),
      offer({ completions: {}, extensions: { "a/x": { v: 2 }, "b/y": {} } }),
    ]);
    expect(JSON.parse(result)).toEqual({
      resultType: "complete",
      supportedVersions: ["2026-07-28"],
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        completions: {},
        extensions: { "a/x": { v: 1 }, "io.modelcontextprotocol/tasks": {}, "b/y": {} },
      },
      instructions: "# files (names begin with files__)\n\nRead first.",
      ttlMs: 60_000,
      cacheScope: "private",
      _meta: { "io.modelcontextprotocol/serverInfo": { name: "all", version: "1.2.3" } },
    });
  });

  test("has nothing that needs a stream where there is none", () => {
    const without = federatedRoute([memberOf("files"), memberOf("git")], { stream: "none" });
    const both = { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } };
    expect(JSON.parse(discovered(without, [offer(both), offer(both)])).capabilities).toEqual({
      tools: {},
      resources: {},
    });
  });

  test("of one backend alone has all that it has, as its subscriptions pass; but for what the era has not", () => {
    const extensions = { "io.modelcontextprotocol/tasks": {} };
    const result = discovered(federatedRoute([memberOf("files")]), [
      offer({ resources: { subscribe: true, listChanged: true }, logging: {}, tasks: {}, extensions }),
    ]);
    const { capabilities, instructions } = JSON.parse(result);
    expect(capabilities).toEqual({ resources: { subscribe: true, listChanged: true }, extensions });
    expect(instructions).toBeUndefined();
  });

  test("of one backend alone of the legacy era has nothing of its sessions", () => {
    const extensions = { "a/x": {}, "io.modelcontextprotocol/tasks": {} };
    const eras = [{ speaksModern: false, inSession: true }];
    const offers = [offer({ resources: { subscribe: true, listChanged: true }, extensions })];
    const { capabilities } = JSON.parse(discoverResult(federatedRoute([memberOf("files")]), { offers, eras }));
    expect(capabilities).toEqual({ resources: {}, extensions: { "a/x": {} } });
  });

  test("promises the lists of a backend that has not said yet what it has", () => {
    expect(JSON.parse(discovered(TWO, [undefined, offer({})])).capabilities).toEqual({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true },
    });
  });
});

describe("the server that clients are told of", () => {
  const backends = federatedRoute([memberOf("files")], { presents: "backend" });
  const own = { name: "own", version: "3", vendor: { n: 1 } };
  const offered = (serverInfo: unknown): Offer => ({
    ...offer({}),
    serverInfo: serverInfoIn(JSON.stringify(serverInfo)),
  });

  test("is the backend, where the route stands for it and it has said who it is", () => {
    expect(serverInfoOf(backends, [offered(own)])).toEqual(own);
    expect(serverInfoOf({ ...backends, presents: "route" }, [offered(own)])).toEqual({ name: "all", version: "1.2.3" });
  });

  test.each([
    ["nothing", undefined],
    ["no object", "own"],
    ["more than is kept", { ...own, icon: "x".repeat(64 * 1024) }],
  ])("is the route where the backend says of itself %s", (_, serverInfo) => {
    expect(serverInfoOf(backends, [offered(serverInfo)])).toEqual({ name: "all", version: "1.2.3" });
    expect(serverInfoOf(backends, [undefined])).toEqual({ name: "all", version: "1.2.3" });
  });
});

test("the end of a list says that it is whole, and for how long and whom it may be kept", () => {
  expect(JSON.parse(`{"tools":[]${endOfModernList(TWO)}}`)).toEqual({
    tools: [],
    resultType: "complete",
    ttlMs: 60_000,
    cacheScope: "private",
  });
});

describe("a backend's answer to a server/discover", () => {
  test("says what the backend is", () => {
    const serverInfo = { name: "files", version: "1" };
    const result = {
      supportedVersions: ["2027-01-01", "2026-07-28", 1],
      capabilities: { tools: {}, other: {} },
      instructions: "Read first.",
      _meta: { "io.modelcontextprotocol/serverInfo": serverInfo },
    };
    expect(readDiscover(Buffer.from(JSON.stringify({ result })), 20)).toEqual({
      kind: "modern",
      offer: {
        version: "2026-07-28",
        capabilities: new Map([["tools", "{}"]]),
        instructions: "Read first.",
        serverInfo: JSON.stringify(serverInfo),
      },
    });
  });

  test.each([
    ['{"result":{"supportedVersions":["2025-11-25"]}}', { kind: "other-result" }],
    ['{"result":{"supportedVersions":"2026-07-28"}}', { kind: "other-result" }],
    ['{"result":{}}', { kind: "other-result" }],
    ['{"result":[]}', { kind: "unreadable" }],
    ['{"error":{"code":-32601}}', { kind: "error", code: -32601 }],
    ['{"error":{"code":"-32601"}}', { kind: "error", code: undefined }],
    ["{}", { kind: "unreadable" }],
    ["[]", { kind: "unreadable" }],
    ["<html>", { kind: "unreadable" }],
    [`{"result":${"[".repeat(30)}${"]".repeat(30)}}`, { kind: "unreadable" }],
  ])("%s", (text, read) => {
    expect(readDiscover(Buffer.from(text), 20)).toEqual(read);
  });
});
