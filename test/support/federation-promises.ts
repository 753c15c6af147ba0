/** What the client of each SDK must get from one URL that leads to several servers, whatever language it is in. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { Sdk, TestClient } from "./clients.ts";
import { requestMessage } from "./messages.ts";
import { ASKING, type SeveralServers } from "./several-servers.ts";

interface Whoami {
  readonly server: string;
  readonly session: string;
}

export function usesSeveralServers({ name, connect, missing }: Sdk, servers: () => SeveralServers): void {
  describe.skipIf(missing !== undefined)(`the client of the ${name} at several servers`, () => {
    async function connected(): Promise<TestClient> {
      const client = await connect(servers().url);
      onTestFinished(() => client.close());
      return client;
    }

    test("lists the tools of all, page after page", async () => {
      const { stack } = servers();
      const answered = () =>
        stack.accessLog.filter(
          ({ listener, status, upstream }) => listener === "gateway" && status === 200 && upstream === null,
        ).length;
      const client = await connected();
      const before = answered();
      const tools = await client.tools();
      expect(tools).toEqual([...new Set(tools)].toSorted());
      for (const tool of ["sse__echo", "json__echo", "plain__tool", ...ASKING.map((server) => `${server}__elicit`)])
        expect(tools).toContain(tool);
      // The answer to its initialize may be among them.
      await expect.poll(() => answered() - before).toBeGreaterThan(2);
    });

    test("calls a tool of each, in one session at each that has sessions", async () => {
      const client = await connected();
      const atSse = await whoami(client, "sse");
      const atJson = await whoami(client, "json");
      expect(servers().sse.sessions).toContain(atSse.session);
      expect(servers().json.sessions).toContain(atJson.session);
      expect(await client.call("plain__tool", {})).toHaveLength(1);
      expect(await whoami(client, "sse")).toEqual(atSse);
      expect(await whoami(client, "json")).toEqual(atJson);
    });

    test("gets a prompt, its completion and a resource of each", async () => {
      const client = await connected();
      for (const server of ["sse", "json"]) {
        expect(await client.prompt(`${server}__paint`, { colour: "red" })).toMatchObject({
          text: `${server} paints it red`,
        });
        expect(await client.complete(`${server}__paint`, "colour", "bl")).toEqual(["blue", "black"]);
        expect(await client.read(`note://${server}`)).toBe(`a note of ${server}`);
      }
    });

    test("sets the log level of each, also of one that it uses only then", async () => {
      const client = await connected();
      await client.ping();
      await client.setLevel("error");
      await client.call("sse__log", { about: "quiet" });
      await client.setLevel("debug");
      await client.call("sse__log", { about: "told" });
      await expect.poll(() => client.heard).toEqual(["sse: told"]);
      const { session } = await whoami(client, "json");
      expect(levels(servers().json, session)).toEqual(["debug"]);
    });

    test("is told of the progress of a call, step by step", async () => {
      const client = await connected();
      const steps = client.call("sse__steps", { count: 2 });
      await expect.poll(() => client.progress).toEqual([1]);
      servers().sse.step();
      await expect.poll(() => client.progress).toEqual([1, 2]);
      servers().sse.step();
      expect(await steps).toMatchObject([{ text: "2 steps" }]);
    });

    test("answers what servers ask it at the same time, each its own", async () => {
      const client = await connected();
      const texts = await Promise.all(
        ASKING.flatMap((server) => [
          client.call(`${server}__elicit`, { about: "this" }),
          client.call(`${server}__sample`, { about: "that" }),
        ]),
      );
      expect(texts).toMatchObject(
        ASKING.flatMap((server) => [[{ text: `yes to ${server}: this` }], [{ text: `sampled ${server}: that` }]]),
      );
    });

    test("cancels a call at the server that has it", async () => {
      const client = await connected();
      const before = servers().cancelled;
      await client.abandon("sse__wait", {});
      await expect.poll(() => servers().cancelled - before).toBe(1);
      expect(await whoami(client, "sse")).toBeDefined();
    });

    test("hears that the list of tools has changed", async () => {
      const client = await connected();
      await client.tools();
      servers().plain.describe(`for the ${name}`);
      const changes = async () => {
        // Who uses the URL has the router ask again.
        await client.tools();
        return client.changes;
      };
      await expect.poll(changes).toBeGreaterThan(0);
    });

    test("goes on when one server has restarted, and keeps its session at the other", async () => {
      const client = await connected();
      const atSse = await whoami(client, "sse");
      const atJson = await whoami(client, "json");
      const { sessionId } = client;
      await servers().restartSse();
      expect((await whoami(client, "sse")).session).not.toBe(atSse.session);
      expect(await whoami(client, "json")).toEqual(atJson);
      expect(client.sessionId).toBe(sessionId);
      expect(await client.call("sse__sample", { about: "again" })).toMatchObject([{ text: "sampled sse: again" }]);
    });

    test("ends its session at all of them", async () => {
      const client = await connect(servers().url);
      const atSse = await whoami(client, "sse");
      const atJson = await whoami(client, "json");
      const { sessionId } = client;
      await client.end();
      await expect.poll(() => servers().sse.sessions).not.toContain(atSse.session);
      await expect.poll(() => servers().json.sessions).not.toContain(atJson.session);
      const response = await fetch(servers().url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-session-id": sessionId ?? "",
        },
        body: JSON.stringify(requestMessage("ping")),
      });
      expect(response.status).toBe(404);
    });
  });
}

async function whoami(client: TestClient, server: string): Promise<Whoami> {
  const [block] = (await client.call(`${server}__whoami`, {})) as readonly { readonly text: string }[]; // Its one tool result.
  const said: Whoami = JSON.parse(block?.text ?? "");
  expect(said.server).toBe(server);
  return said;
}

/** Those that the session was set to. */
function levels({ received }: SeveralServers["json"], session: string): unknown[] {
  return received
    .filter(({ method, headers }) => method === "POST" && headers["mcp-session-id"] === session)
    .map(({ body }) => JSON.parse(body.toString()))
    .filter(({ method }) => method === "logging/setLevel")
    .map(({ params }) => params.level);
}
