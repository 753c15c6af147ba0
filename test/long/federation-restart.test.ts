/** One of several servers behind one URL restarts under load: that is its own affair, and nothing runs twice. */
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { GATEWAYS } from "../support/gateways.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

const PATH = "/mcp";
const SESSIONS = 20;
/** Of each session at each server. */
const CALLS = 17;
/** So many of all calls are answered before the server goes, and so many of the other servers' before it is back. */
const BEFORE = 200;
const MEANWHILE = 150;

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

interface Done {
  readonly backend: string;
  readonly id: string;
  readonly answer: Answer;
  readonly began: number;
  readonly ended: number;
}

async function startServer(name: string, port: number): Promise<TestServer> {
  const server = await startMcpServer(name, { port, json: name === "web", record: false });
  owner.defer(() => server.close());
  return server;
}

describe.each(GATEWAYS)("%s", (_, startGateway) => {
  test(`one of three servers restarts during ${3 * SESSIONS * CALLS} calls`, async () => {
    const files = await startServer("files", 0);
    const web = await startServer("web", 0);
    const first = await startServer("git", await freePort());
    const unhurried = { processor: { messageTimeout: "60s" }, timeouts: { initialize: "40s" } };
    const sections = {
      ...unhurried,
      log: { level: "fatal" },
      backends: Object.fromEntries([files, web, first].map(({ name, endpoint }) => [name, { endpoints: [endpoint] }])),
      routes: [{ path: PATH, backends: ["files", "git", "web"] }],
    };
    const gateway = await startGateway(sections, { timeout: "10s" });
    owner.defer(() => gateway.stop());
    const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => openSession(gateway.port, PATH)));

    const done: Done[] = [];
    const went = Promise.withResolvers<void>();
    const goesOn = Promise.withResolvers<void>();
    let elsewhere = 0;
    let isDown = false;
    const call = async (backend: string, session: string, id: string) => {
      const began = performance.now();
      const headers = { "mcp-session-id": session };
      const answer = await post(gateway.port, PATH, callMessage(`${backend}__run`, { id }, id), headers);
      done.push({ backend, id, answer, began, ended: performance.now() });
      if (done.length === BEFORE) went.resolve();
      if (isDown && backend !== "git" && ++elsewhere === MEANWHILE) goesOn.resolve();
    };
    const work = async (backend: string, session: string) => {
      for (let n = 0; n < CALLS; n++) await call(backend, session, `${backend} ${session.slice(0, 8)} ${n}`);
    };
    const working = sessions.flatMap((session) => ["files", "git", "web"].map((backend) => work(backend, session)));

    await went.promise;
    const down = performance.now();
    isDown = true;
    await first.close();
    await goesOn.promise;
    const second = await startServer("git", first.port);
    const back = performance.now();
    await Promise.all(working);

    const isRun = ({ id, answer }: Done) => {
      const { result, ...message } = messageOf(answer) as { id?: unknown; result?: { content: { text: string }[] } };
      return answer.status === 200 && message.id === id && result?.content[0]?.text === `${id} ran`;
    };
    const failed = done.filter((call) => !isRun(call));
    // Whoever called while it was away is told so, in band.
    for (const { answer, id } of failed)
      expect({ status: answer.status, message: messageOf(answer) }).toMatchObject({
        status: 200,
        message: { id, error: { message: expect.any(String) } },
      });
    expect(failed.filter(({ backend }) => backend !== "git")).toEqual([]);
    expect(failed.filter(({ began, ended }) => began > back || ended < down)).toEqual([]);
    expect(done).toHaveLength(3 * SESSIONS * CALLS);
    process.stdout.write(`${failed.length} calls failed in ${Math.round(back - down)} ms without the server\n`);

    const ran = [files, web, first, second].flatMap((server) => server.ran);
    expect(new Set(ran).size).toBe(ran.length);
    expect(done.filter((call) => isRun(call) && !ran.includes(call.id))).toEqual([]);
    // Sessions that had been there before, and those alone, were begun anew.
    expect(second.ran.length).toBeGreaterThan(0);
    expect(second.namedSessions.length).toBeLessThanOrEqual(SESSIONS + 2);
    expect(files.namedSessions.length).toBeLessThanOrEqual(SESSIONS + 2);
  }, 300_000);
});
