/** Requests without a session stay at one endpoint of a backend that keeps state all the same. */
import { afterEach, describe, expect, test } from "vitest";
import { messageOf, post } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const CALLERS = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];

/** A backend of three equal endpoints, and which of them the callers' calls reach, each as often as it calls. */
async function open(affinity: unknown) {
  const servers = await Promise.all(
    Array.from({ length: 3 }, (_, n) => startMcpServer(`server-${n}`, { record: false })),
  );
  for (const server of servers) owner.defer(() => server.close());
  const stack = await startStack({
    backends: { one: { endpoints: servers.map(({ endpoint }) => endpoint), path: "/mcp", affinity } },
    routes: [{ path: "/mcp", backends: ["one"] }],
    config: { identity: { kind: "header", name: "x-user", required: false } },
  });
  owner.defer(() => stack.stop());
  const call = async (headers: Readonly<Record<string, string>>) => {
    const message = modernMessage("tools/call", { name: "whoami", arguments: {} });
    const answer = await post(stack.port, "/mcp", message, { ...modernHeaders("tools/call", "whoami"), ...headers });
    const { result } = messageOf(answer) as { result?: { content?: { text: string }[] } };
    return JSON.parse(result?.content?.[0]?.text ?? "{}").server as string;
  };
  return { call };
}

/** The endpoints that each caller's calls have reached. */
async function reached(call: (caller: string) => Promise<string>): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const all = new Map<string, ReadonlySet<string>>();
  for (const caller of CALLERS)
    all.set(caller, new Set(await Promise.all(Array.from({ length: 12 }, () => call(caller)))));
  return all;
}

describe.each([
  ["their principal", "principal", "x-user"],
  ["a header", { header: "X-Tenant" }, "x-tenant"],
])("by %s", (_, affinity, header) => {
  test("the calls of one caller reach one endpoint, and those of many reach several", async () => {
    const { call } = await open(affinity);
    const all = await reached((caller) => call({ [header]: caller }));
    for (const endpoints of all.values()) expect(endpoints.size).toBe(1);
    expect(new Set([...all.values()].flatMap((endpoints) => [...endpoints])).size).toBeGreaterThan(1);
  });

  test("what says nothing of it is spread", async () => {
    const { call } = await open(affinity);
    const endpoints = await Promise.all(Array.from({ length: 40 }, () => call({})));
    expect(new Set(endpoints).size).toBe(3);
  });
});
