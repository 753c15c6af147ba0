/** Caps, while all goes well. What becomes of a slot when something fails: slots.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GATEWAYS, type Gateway } from "../support/gateways.ts";
import {
  type Answer,
  callMessage,
  endSession,
  initializeMessage,
  messageOf,
  openSession,
  post,
} from "../support/http.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";
import { stored } from "../support/stored.ts";

const PATH = "/mcp";

/** When one may try again, in whole seconds: not at once, and not later than `admission.retryAfter`. */
const RETRY_AFTER = expect.stringMatching(/^(?:[1-9]|[12]\d|30)$/);

/** What a refused initialize is answered, under its own id. No number in it tells how many sessions there are. */
function expectRefusal(answer: Answer, id: unknown): void {
  expect(answer).toMatchObject({
    status: 503,
    headers: { "retry-after": RETRY_AFTER, "content-type": "application/json" },
  });
  expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", id, error: { code: -32000, message: "Session limit reached" } });
}

function callIn({ port }: Gateway, session: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return post(port, PATH, callMessage("any"), { ...headers, "mcp-session-id": session });
}

describe.each(GATEWAYS)("the cap on all sessions, with %s", (_, startGateway) => {
  const CAP = 100;
  const FLOOD = 500;
  const CALLS = 1_000;
  let backend: SessionServer;
  let gateway: Gateway;
  /** Lets the backend answer the initializes that wait, and those to come. */
  let open: () => void;
  let sessions: string[];

  beforeAll(async () => {
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    backend = await startSessionServer();
    backend.before("initialize", () => opened);
    gateway = await startGateway({
      // The default cap, and no other one in its way.
      admission: { waiting: "off" },
      backends: { one: { endpoints: [backend.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await backend?.close();
  });

  const begin = (id: unknown) => post(gateway.port, PATH, initializeMessage(id));

  test("of 500 initializes at once exactly 100 succeed, and the others are refused before any of these has its answer", async () => {
    const refused = new Map<unknown, Answer>();
    const ids = Array.from({ length: FLOOD }, (_, n) => (n % 2 ? n : `flood-${n}`));
    const all = ids.map(async (id) => {
      const answer = await begin(id);
      if (answer.status !== 200) refused.set(id, answer);
      return answer;
    });
    // Nobody is let in yet: who waited for a slot would wait in vain.
    await expect.poll(() => refused.size).toBe(FLOOD - CAP);
    await expect.poll(() => backend.requests).toBe(CAP);
    open();
    const admitted = (await Promise.all(all)).filter(({ status }) => status === 200);
    sessions = admitted.map(({ headers }) => String(headers["mcp-session-id"]));
    expect(new Set(sessions).size).toBe(CAP);
    expect(refused.size).toBe(FLOOD - CAP);
    for (const [id, answer] of refused) expectRefusal(answer, id);
  });

  test("at the cap no call of a live session is refused, while every initialize is", async () => {
    // Whoever was not used yet would give its slot away.
    await Promise.all(sessions.map((session) => callIn(gateway, session)));
    const queue = Array.from({ length: CALLS / CAP }, () => sessions)
      .flat()
      .values();
    const statuses: number[] = [];
    const caller = async () => {
      for (const session of queue) statuses.push((await callIn(gateway, session)).status);
    };
    const flood = async () => {
      for (let id = 1; id <= 100; id++) expectRefusal(await begin(id), id);
    };
    await Promise.all([flood(), ...Array.from({ length: 16 }, caller)]);
    expect(statuses).toEqual(Array.from({ length: CALLS }, () => 200));
  });

  test("after all have ended no lease is left, and as many begin anew", async () => {
    await Promise.all(sessions.map((session) => endSession(gateway.port, PATH, session)));
    if (gateway.redis) expect((await stored(gateway.redis)).keys).toEqual([]);
    expect(backend.sessions.size).toBe(0);

    const anew = await Promise.all(sessions.map((_, id) => begin(id)));
    expect(anew.map(({ status }) => status)).toEqual(sessions.map(() => 200));
    expectRefusal(await begin("one more"), "one more");
  });
});

describe.each(GATEWAYS)("the cap on the sessions of anonymous callers, with %s", (_, startGateway) => {
  test("leaves room for those with a name, and knows no share where nobody has one", async () => {
    const backend = await startSessionServer();
    const sections = {
      admission: { sessions: 6, perPrincipal: 3, waiting: "off" },
      backends: { one: { endpoints: [backend.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    };
    const statuses = async ({ port }: Gateway, headers: Readonly<Record<string, string>> = {}) => {
      const answers = Array.from({ length: 10 }, (_, id) => post(port, PATH, initializeMessage(id), headers));
      return (await Promise.all(answers)).map(({ status }) => status).toSorted();
    };
    const ok = (count: number) => Array.from({ length: 10 }, (_, n) => (n < count ? 200 : 503));
    const named = await startGateway({
      ...sections,
      identity: { kind: "header", name: "x-user", required: false },
    });
    const unnamed = await startGateway(sections);
    try {
      expect(await statuses(named)).toEqual(ok(3));
      expect(await statuses(named, { "x-user": "bob" })).toEqual(ok(3));
      expect(await statuses(unnamed)).toEqual(ok(6));
    } finally {
      await Promise.all([named.stop(), unnamed.stop()]);
      await backend.close();
    }
  });
});

describe.each(GATEWAYS)("the cap on the sessions of one principal, with %s", (_, startGateway) => {
  const CAP = 2;
  let backend: SessionServer;
  let gateway: Gateway;

  beforeAll(async () => {
    backend = await startSessionServer();
    gateway = await startGateway({
      admission: { perPrincipal: CAP },
      identity: { kind: "header", name: "x-user", required: false },
      backends: { one: { endpoints: [backend.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await backend?.close();
  });

  const begin = (headers: Readonly<Record<string, string>>, id: unknown = 1) =>
    post(gateway.port, PATH, initializeMessage(id), headers);
  const openFor = async (user: string, count: number) => {
    const opened: string[] = [];
    while (opened.length < count) opened.push(await openSession(gateway.port, PATH, { "x-user": user }));
    return opened;
  };

  test("admits exactly so many of a principal's initializes that come at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, id) => begin({ "x-user": "flooder" }, id)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(CAP);
    for (const [id, answer] of answers.entries()) if (answer.status !== 200) expectRefusal(answer, id);
  });

  test("stops neither another principal, nor the anonymous, nor its own live sessions", async () => {
    const [first = ""] = await openFor("ada", CAP);
    expectRefusal(await begin({ "x-user": "ada" }, "ada's"), "ada's");
    await openFor("bob", CAP);
    for (let n = 0; n <= CAP; n++) await openSession(gateway.port, PATH);
    expect((await callIn(gateway, first, { "x-user": "ada" })).status).toBe(200);
  });

  test("has room again at the principal's DELETE", async () => {
    const [first = ""] = await openFor("carol", CAP);
    expectRefusal(await begin({ "x-user": "carol" }), 1);
    await endSession(gateway.port, PATH, first, { "x-user": "carol" });
    expect((await begin({ "x-user": "carol" })).status).toBe(200);
    expectRefusal(await begin({ "x-user": "carol" }), 1);
  });
});

test("the initializes that wait for one backend are bounded: the next is refused at once, and other backends go on", async () => {
  const WAITING = 2;
  let stalled: Promise<unknown> = new Promise(() => undefined);
  const slow = await startSessionServer();
  slow.before("initialize", () => stalled);
  const sound = await startSessionServer();
  const stack = await startStack({
    backends: { slow: [slow.endpoint], sound: [sound.endpoint] },
    config: { admission: { waiting: WAITING } },
  });
  const leaving = new AbortController();
  const wait = () => post(stack.port, "/slow/mcp", initializeMessage(), {}, leaving.signal).catch(() => undefined);
  try {
    const waiting = Array.from({ length: WAITING }, wait);
    await expect.poll(() => slow.requests).toBe(WAITING);
    expectRefusal(await post(stack.port, "/slow/mcp", initializeMessage("third")), "third");
    await openSession(stack.port, "/sound/mcp");

    leaving.abort();
    await Promise.all(waiting);
    stalled = Promise.resolve();
    await expect.poll(async () => (await post(stack.port, "/slow/mcp", initializeMessage())).status).toBe(200);
  } finally {
    await stack.stop();
    await Promise.all([slow.close(), sound.close()]);
  }
});
