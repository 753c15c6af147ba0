import { afterEach, describe, expect, test, vi } from "vitest";
import { createEgress, type Egress } from "../../../src/backends/client.ts";
import { AT_ONCE, createSessionEnder, type EndEvent, MOST_IN_TURN } from "../../../src/backends/end.ts";
import { type Script, startScriptedServer } from "../../support/scripted-server.ts";
import { BACKEND } from "../core/policy.ts";
import { answerWith } from "../recovery/answers.ts";

const session = { sessionId: "backend-id", endpoint: "10.0.0.1:80" };
const credentials = [["authorization", "Bearer ada"]] as const;

let owner = new AsyncDisposableStack();
afterEach(async () => {
  vi.restoreAllMocks();
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** Ends sessions through this egress, at backends of any name but "unknown". */
function enderOver(egress: Egress) {
  const events: EndEvent[] = [];
  const ender = createSessionEnder({
    egress,
    backendOf: (name) => (name === "unknown" ? undefined : { ...BACKEND, name, path: "/api/mcp" }),
    observe: (event) => void events.push(event),
  });
  return { ender, events };
}

/** Ends sessions at what answers in the place of Envoy. */
async function open(script: Script) {
  const server = await startScriptedServer(script);
  const egress = createEgress(server.url);
  owner.defer(async () => {
    await egress.close();
    await server.close();
  });
  return { ...enderOver(egress), egress, received: server.calls, close: server.close };
}

const answering = (status: number) => open({ status, body: "a few words" });

/** Ends sessions at backends that answer when the test has them answer. */
function openHeld(isSlow: (backend: string) => boolean = () => true) {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  let signal: AbortSignal | undefined;
  const egress: Egress = {
    send({ to, session }, given) {
      signal = given;
      asked.push(`${to.backend.name} ${session?.sessionId}`);
      return new Promise((resolve, reject) => {
        if (given.aborted) reject(given.reason);
        const answer = () => resolve(answerWith({ status: 200 }));
        given.addEventListener("abort", () => reject(given.reason));
        if (isSlow(to.backend.name)) answers.push(answer);
        else answer();
      });
    },
    close: async () => undefined,
  };
  return { ...enderOver(egress), asked, answers, signal: () => signal };
}

/** Lets promises that are settled run their course. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const named = (sessionId: string) => ({ ...session, sessionId });

test("the end of a session is a DELETE to its path, with all that Envoy and the backend must know", async () => {
  const { ender, received, events } = await answering(204);
  expect(await ender.end("one", session, credentials)).toBe(true);
  expect(events).toEqual([{ kind: "told", backend: "one" }]);
  expect(received).toHaveLength(1);
  expect(received[0]).toMatchObject({
    method: "DELETE",
    path: "/api/mcp",
    headers: {
      "x-client-id": "mcp-router/sweep",
      "x-mcp-backend": "one",
      "x-mcp-endpoint": "10.0.0.1:80",
      "mcp-session-id": "backend-id",
      authorization: "Bearer ada",
    },
  });
  expect(received[0]?.headers).not.toHaveProperty("mcp-protocol-version");
});

describe("a backend was told", () => {
  test.each([200, 202, 204, 404, 405])("when it answers %i", async (status) => {
    const { ender, events } = await answering(status);
    expect(await ender.end("one", session, credentials)).toBe(true);
    expect(events).toEqual([{ kind: "told", backend: "one" }]);
  });

  test("also when its answer goes on and on", async () => {
    const { ender } = await open(({ response }) => {
      const more = () => response.write("x".repeat(100_000), more);
      response.writeHead(200);
      more();
    });
    expect(await ender.end("one", session, credentials)).toBe(true);
  });

  test("as good as, when the configuration no longer names it", async () => {
    const { ender, received } = await answering(500);
    expect(await ender.end("unknown", session, credentials)).toBe(true);
    expect(received).toEqual([]);
  });
});

describe("a backend was not told", () => {
  test.each([301, 400, 401, 403, 500, 503])("when it answers %i", async (status) => {
    const { ender, events } = await answering(status);
    expect(await ender.end("one", session, credentials)).toBe(false);
    const why = new Error(`the backend answers ${status}`);
    expect(events).toEqual([{ kind: "not-told", backend: "one", why }]);
  });

  test("when nobody is there", async () => {
    const { ender, events, close } = await answering(200);
    await close();
    expect(await ender.end("one", session, credentials)).toBe(false);
    expect(events).toMatchObject([{ kind: "not-told" }]);
  });

  test("when it does not answer in time", async () => {
    const time = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(time.signal);
    const { ender, events } = await open(() => void time.abort(new Error("too late")));
    expect(await ender.end("one", session, credentials)).toBe(false);
    expect(events).toMatchObject([{ kind: "not-told", why: { message: "too late" } }]);
    expect(timeout).toHaveBeenCalledOnce();
  });

  test("when the egress is closed before it answers", async () => {
    const { ender, egress } = await open(() => void egress.close());
    expect(await ender.end("one", session, credentials)).toBe(false);
  });

  test("when what is thrown is no error", async () => {
    const { ender, events } = enderOver({ send: () => Promise.reject("no"), close: async () => undefined });
    expect(await ender.end("one", session, [])).toBe(false);
    expect(events).toEqual([{ kind: "not-told", backend: "one", why: new Error("no") }]);
  });
});

describe("a session that may be gone already is ended", () => {
  test("at the path and query that it is given, and nothing is said of that", async () => {
    const { ender, received, events } = await answering(500);
    ender.endIfThere({ backend: BACKEND, query: "?a=1" }, session, credentials);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    expect(received[0]).toMatchObject({ method: "DELETE", path: "/mcp?a=1" });
    await settled();
    expect(events).toEqual([]);
  });
});

describe("in turn", () => {
  test("each backend is told of few sessions at once, and a slow backend holds up no other", async () => {
    const { ender, asked, answers, events } = openHeld((backend) => backend === "slow");
    for (let n = 0; n < 3 * AT_ONCE; n++) ender.endInTurn("slow", named(`${n}`));
    ender.endInTurn("one", named("x"));
    await settled();
    expect(asked).toHaveLength(AT_ONCE + 1);
    expect(events).toEqual([{ kind: "told", backend: "one" }]);
    while (answers.length > 0) {
      answers.shift()?.();
      await settled();
    }
    expect(asked).toHaveLength(3 * AT_ONCE + 1);
  });

  test("no more than so many sessions wait for a backend that does not answer", async () => {
    const { ender, events } = openHeld();
    for (let n = 0; n < MOST_IN_TURN + 2; n++) ender.endInTurn("slow", named(`${n}`));
    expect(events).toEqual(Array(2).fill({ kind: "not-told", backend: "slow", why: "given-up" }));
  });
});

describe("a stop", () => {
  test("lets what is under way end, and waits for those who may begin more", async () => {
    const { ender, answers, events } = openHeld();
    const callers = Promise.withResolvers<void>();
    void ender.end("one", session, []);
    let stopped = false;
    const stop = ender.stop(callers.promise).then(() => (stopped = true));
    answers.shift()?.();
    await settled();
    void ender.end("two", session, []);
    callers.resolve();
    await settled();
    expect(stopped).toBe(false);
    answers.shift()?.();
    await stop;
    expect(events).toMatchObject([
      { kind: "told", backend: "one" },
      { kind: "told", backend: "two" },
    ]);
  });

  test("cuts off what takes longer than a moment, waits for its end, and blames nobody", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { ender, events, signal } = openHeld();
      const ended = ender.end("one", session, []);
      await settled();
      const stop = ender.stop(Promise.resolve());
      await settled();
      expect(signal()?.aborted).toBe(false);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(signal()?.aborted).toBe(true);
      await stop;
      expect(await ended).toBe(false);
      expect(await ender.end("one", session, [])).toBe(false);
      expect(events).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
