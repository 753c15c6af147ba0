/** At a cap the slot of an idle session goes to a new one, and the idle one goes on when its client comes back. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, type ExpectStatic, type TestContext, test } from "vitest";
import { GATEWAYS } from "../support/gateways.ts";
import { callTool, initializeMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage, resultMessage } from "../support/messages.ts";
import { json } from "../support/scripted-server.ts";
import { runMessage, startSessionServer } from "../support/session-server.ts";
import { type StackOptions, startStack } from "../support/stack.ts";

const PATH = "/mcp";
/** A use is recorded each two seconds at most, so a session is parked that was idle for three. */
const LIFESPAN = { sessions: { idle: "16s" }, timeouts: { call: "16s", listen: "16s" } };
const PARK = "1s";
const PATIENT = { timeout: 30_000, interval: 200 };

/** Begins a session as soon as there is a slot. */
async function beginWhenFree(
  expect: ExpectStatic,
  port: number,
  path = PATH,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  let id = "";
  const begin = async () => {
    const answer = await post(port, path, initializeMessage(), headers);
    if (answer.status !== 200) expect(Number(answer.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    id = String(answer.headers["mcp-session-id"]);
    return answer.status;
  };
  await expect.poll(begin, PATIENT).toBe(200);
  await post(port, path, notificationMessage("notifications/initialized"), { ...headers, "mcp-session-id": id });
  return id;
}

type AtEnd = TestContext["onTestFinished"];

/** A gateway in front of a backend, at /one/mcp. They end together. */
async function stackOf(
  atEnd: AtEnd,
  backend: { readonly endpoint: string; close(): Promise<void> },
  config: NonNullable<StackOptions["config"]>,
) {
  atEnd(() => backend.close());
  const stack = await startStack({ backends: { one: [backend.endpoint] }, config: { ...LIFESPAN, ...config } });
  atEnd(() => stack.stop());
  return stack;
}

// Each test waits, most of the time, for sessions of its own to be idle.
describe.concurrent.each(GATEWAYS)("sessions that nobody ends, with %s", (_, startGateway) => {
  const CAP = 4;

  async function open(atEnd: AtEnd) {
    const server = await startMcpServer("one");
    atEnd(() => server.close());
    const gateway = await startGateway({
      ...LIFESPAN,
      admission: { sessions: CAP, park: PARK, wait: "off" },
      backends: { one: { endpoints: [server.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    });
    atEnd(() => gateway.stop());
    return {
      server,
      port: gateway.port,
      whoami: (session: string) => callTool(gateway.port, PATH, session, "whoami"),
      deleted: () =>
        server.received.filter(({ method }) => method === "DELETE").map(({ headers }) => headers["mcp-session-id"]),
    };
  }

  test("give their slots to new ones, one after another; one that is in use keeps its own, and one that is not goes on, recovered", async ({
    expect,
    onTestFinished,
  }) => {
    const gateway = await open(onTestFinished);
    const { server, whoami, deleted, port } = gateway;
    const rare = await openSession(port, PATH);
    const [ofRare = ""] = server.sessions;
    const busy = await openSession(port, PATH);
    const ofBusy = [...server.sessions].find((id) => id !== ofRare);
    let stopped = false;
    const calls: string[] = [];
    const keepBusy = async () => {
      while (!stopped) {
        calls.push(await whoami(busy));
        await pause(200);
      }
    };
    const caller = keepBusy();
    // More than there are slots, all of whose clients go without a word. Of those that are parked none has to end for another.
    for (let n = 0; n < CAP + 2; n++) expect(await whoami(await beginWhenFree(expect, port))).toContain("one");
    stopped = true;
    await caller;

    expect(deleted()).toContain(ofRare);
    expect(deleted()).not.toContain(ofBusy);
    expect(server.sessions).toContain(ofBusy);
    expect(new Set(calls).size).toBe(1);
    // What a backend holds is what has slots, once it was told of the rest.
    await expect.poll(() => server.sessions.size, PATIENT).toBeLessThanOrEqual(CAP);
    const before = server.received.length;
    expect(await whoami(rare)).toContain("one");
    const named = server.received.slice(before).map(({ headers }) => headers["mcp-session-id"]);
    expect(named).not.toContain(ofRare);
    // Above the cap: who has a session is never refused.
    await expect.poll(() => server.sessions.size, PATIENT).toBeLessThanOrEqual(CAP + 1);
  });

  test("give their slots away first where no second request has named them, and those in use stay as they are", async ({
    expect,
    onTestFinished,
  }) => {
    const gateway = await open(onTestFinished);
    const { server, whoami, port } = gateway;
    const used = [await openSession(port, PATH), await openSession(port, PATH)];
    const ofUsed = [...server.sessions];
    for (let n = 0; n < 2; n++) expect((await post(port, PATH, initializeMessage())).status).toBe(200);
    const flood = async () => {
      for (const session of used) await whoami(session);
      return (await post(port, PATH, initializeMessage())).status;
    };
    for (let n = 0; n < 3; n++) await expect.poll(flood, PATIENT).toBe(200);
    for (const session of used) expect(await whoami(session)).toContain("one");
    for (const id of ofUsed) expect(server.sessions).toContain(id);
  });

  test("and are parked have ended when their clients say so", async ({ expect, onTestFinished }) => {
    const gateway = await open(onTestFinished);
    const { server, deleted, port } = gateway;
    const parked = await openSession(port, PATH);
    const [ofParked] = server.sessions;
    for (let n = 0; n < CAP; n++) await beginWhenFree(expect, port);
    await expect.poll(deleted, PATIENT).toContain(ofParked);
    const before = server.requests;
    const end = () => send({ port, method: "DELETE", path: PATH, headers: { "mcp-session-id": parked } });
    expect((await end()).status).toBe(204);
    expect(server.requests).toBe(before);
    expect((await end()).status).toBe(404);
  });
});

test.concurrent("at a principal's cap its own idle session gives its slot away, and nobody else's", async ({
  expect,
  onTestFinished,
}) => {
  const server = await startMcpServer("one");
  const stack = await stackOf(onTestFinished, server, {
    admission: { sessions: 9, perPrincipal: 1, park: PARK },
    identity: { kind: "header", name: "x-user", required: true },
  });
  const path = "/one/mcp";
  const as = (user: string) => ({ "x-user": user });
  const bobs = await openSession(stack.port, path, as("bob"));
  const [ofBob] = server.sessions;
  const first = await openSession(stack.port, path, as("ada"));
  const second = await beginWhenFree(expect, stack.port, path, as("ada"));
  await expect.poll(() => server.sessions.size, PATIENT).toBe(2);
  expect(server.sessions).toContain(ofBob);
  for (const [session, user] of [
    [bobs, "bob"],
    [first, "ada"],
    [second, "ada"],
  ] as const)
    expect(await callTool(stack.port, path, session, "whoami", {}, as(user))).toContain("one");
});

test.concurrent("a session with a call under way keeps its slot, however long that takes", async ({
  expect,
  onTestFinished,
}) => {
  const backend = await startSessionServer();
  const stack = await stackOf(onTestFinished, backend, { admission: { sessions: 1, park: PARK, wait: "off" } });
  const path = "/one/mcp";
  const session = await openSession(stack.port, path);
  const held = backend.hold("tools/call");
  const call = post(stack.port, path, runMessage("long"), { "mcp-session-id": session });
  await expect.poll(() => held.waiting, PATIENT).toBe(1);
  // Twice as long as it takes to park one that is idle.
  for (let n = 0; n < 24; n++) {
    expect((await post(stack.port, path, initializeMessage())).status).toBe(503);
    await pause(250);
  }
  held.release();
  expect((await call).status).toBe(200);
  expect(backend.methods()).not.toContain("DELETE");
  await beginWhenFree(expect, stack.port, path);
  await expect.poll(() => backend.methods(), PATIENT).toContain("DELETE");
});

test.concurrent("where lost sessions surface, one that was parked is unknown when its client comes back", async ({
  expect,
  onTestFinished,
}) => {
  const server = await startMcpServer("one");
  const stack = await stackOf(onTestFinished, server, {
    admission: { sessions: 1, park: PARK },
    backends: { one: { endpoints: [server.endpoint], onSessionLost: "surface" } },
  });
  const path = "/one/mcp";
  const session = await openSession(stack.port, path);
  await beginWhenFree(expect, stack.port, path);
  await expect.poll(() => server.sessions.size, PATIENT).toBe(1);
  const answer = await post(stack.port, path, requestMessage("ping"), { "mcp-session-id": session });
  expect(answer.status).toBe(404);
});

test.concurrent("a new session waits for the slot of an idle one, and its client is not refused", async ({
  expect,
  onTestFinished,
}) => {
  const server = await startMcpServer("one");
  const stack = await stackOf(onTestFinished, server, {
    admission: { sessions: 2, park: "4s" },
    processor: { messageTimeout: "3s" },
  });
  for (let n = 0; n < 2; n++) await openSession(stack.port, "/one/mcp");
  // Longer than Envoy waits for the router by itself.
  const begun = await Promise.all([1, 2].map(() => post(stack.port, "/one/mcp", initializeMessage())));
  expect(begun.map(({ status }) => status)).toEqual([200, 200]);
});

test.concurrent("where none is parked, a new session is refused as long as the others live", async ({
  expect,
  onTestFinished,
}) => {
  const server = await startMcpServer("one");
  const stack = await stackOf(onTestFinished, server, { admission: { sessions: 1, park: "off" } });
  const session = await openSession(stack.port, "/one/mcp");
  for (let n = 0; n < 12; n++) {
    expect((await post(stack.port, "/one/mcp", initializeMessage())).status).toBe(503);
    await pause(250);
  }
  expect(await callTool(stack.port, "/one/mcp", session, "whoami")).toContain("one");
  expect(server.sessions.size).toBe(1);
});

test.concurrent("a session that was parked goes on with the cookie that its new backend session wants", async ({
  expect,
  onTestFinished,
}) => {
  const backend = await startSessionServer();
  backend.on("initialize", ({ body }) => {
    const headers = { "mcp-session-id": backend.begin(), "set-cookie": "LB=second; Path=/" };
    const answer = resultMessage(JSON.parse(body).id, { protocolVersion: "2025-11-25" });
    return json(200, answer, headers);
  });
  const stack = await stackOf(onTestFinished, backend, { admission: { sessions: 1, park: PARK } });
  const path = "/one/mcp";
  const session = await openSession(stack.port, path);
  await beginWhenFree(expect, stack.port, path);
  await expect.poll(() => backend.methods(), PATIENT).toContain("DELETE");
  const call = { cookie: "LB=first; mine=1", "mcp-session-id": session };
  expect((await post(stack.port, path, runMessage("again"), call)).status).toBe(200);
  expect(backend.calls.find(({ method }) => method === "tools/call")?.headers.cookie).toBe("LB=second; mine=1");
});
