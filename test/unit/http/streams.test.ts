import { request } from "node:http";
import { type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { afterEach, describe, expect, test, vi } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import { LARGEST_LISTEN } from "../../../src/core/federation/listen-request.ts";
import { EVENT_STREAM, X_MCP_STREAM } from "../../../src/core/headers.ts";
import { type HeaderFields, HeaderNames, type Reply } from "../../../src/core/http.ts";
import { answer as answerTo } from "../../../src/core/reject.ts";
import {
  type StreamOf,
  type StreamSink,
  type Subscriber,
  writeStreamOf,
  writeSubscriber,
} from "../../../src/core/streams.ts";
import { headerFields } from "../../../src/http/header-fields.ts";
import { type StreamSource, serveStreams } from "../../../src/http/streams.ts";

const OF: StreamOf = { key: "key-1", owner: "owner_1", path: "/mcp/ä" };
const CLAIMED = [X_MCP_STREAM, writeStreamOf(OF)] as const;
const SUBSCRIBER: Subscriber = { owner: OF.owner, path: OF.path };
const SUBSCRIBED = [X_MCP_STREAM, writeSubscriber(SUBSCRIBER)] as const;
const LISTEN = '{"method":"subscriptions/listen"}';
const HELLO = Buffer.from(": hello\n\n");
/** More than the kernel takes for a client that does not read. */
const MUCH = Buffer.alloc(32 * 1024 * 1024, "x");

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

interface Opened {
  readonly of: StreamOf | Subscriber;
  readonly headers: HeaderFields;
  readonly query: string;
  readonly sink: StreamSink;
  readonly left: () => boolean;
}

/** A stream of HTTP/2, with the head of the answer. Its client reads nothing by itself. */
type Answered = ClientHttp2Stream & { readonly statusCode: number | undefined; readonly headers: IncomingHttpHeaders };

/**
 * @param over what the source does in place of opening a stream
 * @param refusal what it does in place of opening one of a subscription
 */
async function serve(over?: StreamSource["open"], refusal?: Reply) {
  const port = await freePort();
  const streams: Opened[] = [];
  const faults: unknown[] = [];
  const noHttp2 = vi.fn<() => void>();
  const open: StreamSource["open"] = (of, { headers, query }, sink) => {
    let left = false;
    streams.push({ of, headers, query, sink, left: () => left });
    // A head goes with the first bytes.
    sink.write(HELLO);
    return () => {
      left = true;
    };
  };
  const bodies: string[] = [];
  const source: StreamSource = {
    open: over ?? open,
    subscribe(of, { body, ...request }, sink) {
      const text = Buffer.from(body).toString();
      if (text.trim() !== LISTEN) return undefined;
      bodies.push(text);
      return refusal ?? { kind: "open", left: open({ ...of, key: "" }, request, sink) };
    },
    fault: (error) => void faults.push(error),
    noHttp2,
  };
  const server = await serveStreams({ host: "127.0.0.1", port }, source);
  owner.defer(() => server.close());

  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 64 * 1024 } });
  session.on("error", () => undefined);
  owner.defer(() => session.destroy());
  /** @param headers names and values by turns, as they go on the wire */
  const ask = (headers: readonly string[], { path = "/", method = "GET", body = "" } = {}) =>
    new Promise<{ readonly answer: Answered }>((resolve, reject) => {
      const pseudo = { ":method": method, ":path": path, ":scheme": "http", ":authority": "gateway" };
      const sent = session.request([...Object.entries(pseudo).flat(), ...headers], { endStream: body === "" });
      // It is reset by some tests, and cut off by others.
      sent
        .on("response", (head) =>
          resolve({ answer: Object.assign(sent, { statusCode: head[":status"], headers: head }) }),
        )
        .on("error", reject);
      if (body !== "") sent.end(Buffer.from(body));
    });
  /** Opens a stream. The client reads nothing of it by itself. */
  const openStream = async (headers: readonly string[] = CLAIMED, path?: string) => {
    const before = streams.length;
    const answered = await ask(headers, path === undefined ? {} : { path });
    const stream = streams[before];
    if (!stream) throw new Error(`status ${answered.answer.statusCode}`);
    return { ...answered, ...stream };
  };
  return { ask, openStream, streams, bodies, faults, port, noHttp2, server };
}

/** The client leaves. */
function leave(answer: Answered): void {
  answer.close(constants.NGHTTP2_CANCEL);
}

async function textOf(answer: Answered): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += String(chunk);
  return text;
}

/** Resolves to whether it has settled once the server has had time to. */
async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe("what no processor has sent is answered with 404, and opens no stream:", () => {
  test.each<[what: string, headers: readonly string[]]>([
    ["a GET without a session", []],
    ["a GET of an empty session", [X_MCP_STREAM, ""]],
    ["a GET of no session", [X_MCP_STREAM, "key"]],
    ["a GET of a session without a path", [X_MCP_STREAM, "key.owner."]],
    ["a GET with a path that is no encoding", [X_MCP_STREAM, "key.owner./%zz"]],
    ["a GET of two sessions", [...CLAIMED, ...CLAIMED]],
  ])("%s", async (_, headers) => {
    const { ask, streams } = await serve();
    const { answer } = await ask(headers);
    expect(answer).toMatchObject({ statusCode: 404, headers: { "content-type": "text/plain; charset=utf-8" } });
    expect(await textOf(answer)).toBe("a stream is opened by Envoy\n");
    expect(streams).toEqual([]);
  });

  test.each(["POST", "HEAD", "DELETE", "OPTIONS"])("a %s of a session", async (method) => {
    const { ask, streams } = await serve();
    const { answer } = await ask(CLAIMED, { method });
    expect(answer.statusCode).toBe(404);
    answer.resume();
    expect(streams).toEqual([]);
  });
});

describe("a subscription", () => {
  test("is opened by the POST that a processor has sent, with its body and the client's headers", async () => {
    const { ask, streams, bodies } = await serve();
    const { answer } = await ask([...SUBSCRIBED, "authorization", "Bearer ada"], {
      method: "POST",
      path: "/?a=1",
      body: LISTEN,
    });
    expect(answer).toMatchObject({ statusCode: 200, headers: { "content-type": EVENT_STREAM } });
    expect(streams).toMatchObject([{ of: SUBSCRIBER, query: "?a=1" }]);
    expect(streams[0]?.headers.get("authorization")).toBe("Bearer ada");
    expect(bodies).toEqual([LISTEN]);
    leave(answer);
    await expect.poll(() => streams[0]?.left()).toBe(true);
  });

  test.each([
    ["of another method", '{"method":"tools/call"}'],
    ["that is too large", LISTEN.padEnd(LARGEST_LISTEN + 1)],
    ["that is empty", ""],
  ])("is none with a body %s", async (_, body) => {
    const { ask, streams, faults } = await serve();
    const { answer } = await ask(SUBSCRIBED, { method: "POST", body });
    expect(answer).toMatchObject({ statusCode: 400, headers: { "content-type": "text/plain; charset=utf-8" } });
    expect(await textOf(answer)).toBe("the body is no subscriptions/listen\n");
    expect(streams).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("may have a body of the largest size", async () => {
    const { ask, bodies } = await serve();
    const { answer } = await ask(SUBSCRIBED, { method: "POST", body: LISTEN.padEnd(LARGEST_LISTEN) });
    expect(answer.statusCode).toBe(200);
    expect(bodies[0]).toHaveLength(LARGEST_LISTEN);
    leave(answer);
  });

  test("that is refused is answered, and no stream of events", async () => {
    const refusal = answerTo({ reason: "subscriptions-exhausted", retryAfter: 30, id: "7" });
    const { ask, streams, faults } = await serve(undefined, refusal);
    const { answer } = await ask(SUBSCRIBED, { method: "POST", body: LISTEN });
    expect(answer).toMatchObject({
      statusCode: 503,
      headers: { "content-type": "application/json", "retry-after": "30" },
    });
    expect(JSON.parse(await textOf(answer))).toEqual({
      jsonrpc: "2.0",
      id: 7,
      error: { code: -32000, message: "Subscription limit reached" },
    });
    expect(streams).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("is not opened by a GET, nor a session's stream by a POST", async () => {
    const { ask, streams } = await serve();
    for (const { answer } of [await ask(SUBSCRIBED), await ask(CLAIMED, { method: "POST", body: LISTEN })]) {
      expect(answer.statusCode).toBe(404);
      answer.resume();
    }
    expect(streams).toEqual([]);
  });
});

describe("a stream", () => {
  test("is of the session that the processor has claimed", async () => {
    const { openStream } = await serve();
    expect((await openStream()).of).toEqual(OF);
    const nobodys = { ...OF, owner: "" };
    expect((await openStream([X_MCP_STREAM, writeStreamOf(nobodys)])).of).toEqual(nobodys);
  });

  test("is answered as one of events", async () => {
    const { openStream } = await serve();
    const { answer } = await openStream();
    expect(answer).toMatchObject({
      statusCode: 200,
      headers: { "content-type": EVENT_STREAM, "cache-control": "no-cache, no-transform" },
    });
  });

  test("is opened with all of the client's headers, in their order and byte for byte", async () => {
    const { openStream } = await serve();
    const latin1 = Buffer.from("é").toString("latin1");
    const { headers } = await openStream([
      "Authorization",
      "Bearer ada",
      "X-User",
      "a",
      "x-utf8",
      latin1,
      "x-latin1",
      "\xe9",
      "x-user",
      "b",
      "x-empty",
      "",
      "Last-Event-ID",
      "s1",
      ...CLAIMED,
    ]);
    const expected = [
      ["authorization", "Bearer ada"],
      ["x-user", "a"],
      ["x-utf8", latin1],
      ["x-latin1", "\xe9"],
      ["x-user", "b"],
      ["x-empty", ""],
      ["last-event-id", "s1"],
      [...CLAIMED],
    ];
    expect([...headers.entries()]).toEqual(expected);
    expect(headers.get("x-user")).toBe("a, b");
  });

  test("is opened with the headers of a client that has many cookies", async () => {
    const { openStream } = await serve();
    const cookie = "c".repeat(60 * 1024);
    expect((await openStream(["cookie", cookie, ...CLAIMED])).headers.get("cookie")).toBe(cookie);
  });

  test.each([
    ["/", ""],
    ["/?a=1&b=%20", "?a=1&b=%20"],
    ["/mcp?", "?"],
    ["/mcp?a=?&/", "?a=?&/"],
  ])("that is asked for by %s has the query '%s'", async (path, query) => {
    const { openStream } = await serve();
    expect((await openStream(CLAIMED, path)).query).toBe(query);
  });

  test("brings what is written, and ends as the source ends it", async () => {
    const { openStream } = await serve();
    const { answer, sink, left } = await openStream();
    sink.write(Buffer.from("data: é\n\n"));
    sink.write(Buffer.from("data: 2\n\n"));
    sink.end();
    expect(await textOf(answer)).toBe(": hello\n\ndata: é\n\ndata: 2\n\n");
    expect(answer.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    await expect.poll(left).toBe(true);
  });

  test("takes nothing that is written after its end", async () => {
    const { openStream } = await serve();
    const { answer, sink } = await openStream();
    sink.end();
    sink.write(Buffer.from("data: 1\n\n"));
    expect(await textOf(answer)).toBe(": hello\n\n");
  });

  test("brings what is written while it is open", async () => {
    const { openStream } = await serve();
    const { answer, sink } = await openStream();
    let read = "";
    answer.setEncoding("utf8").on("data", (text: string) => {
      read += text;
    });
    await expect.poll(() => read).toBe(": hello\n\n");
    sink.write(Buffer.from("data: 1\n\n"));
    await expect.poll(() => read).toBe(": hello\n\ndata: 1\n\n");
  });

  test("that is cut off has no end to the client", async () => {
    const { openStream } = await serve();
    const { answer, sink, left } = await openStream();
    answer.resume();
    const closed = new Promise((resolve) => answer.once("close", resolve));
    sink.cut();
    await closed;
    expect(answer.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    await expect.poll(left).toBe(true);
  });

  test("that its client has left is told of once, and what is written then goes nowhere", async () => {
    const left = vi.fn<() => void>();
    const sinks: StreamSink[] = [];
    const { ask, faults } = await serve((_of, _request, sink) => {
      sinks.push(sink);
      sink.write(HELLO);
      return left;
    });
    const { answer } = await ask(CLAIMED);
    expect(left).not.toHaveBeenCalled();
    leave(answer);
    await expect.poll(() => left.mock.calls.length).toBe(1);
    for (const sink of sinks) {
      sink.write(HELLO);
      await sink.drained();
      sink.end();
      sink.cut();
    }
    await settlesSoon(Promise.resolve());
    expect(sinks).toHaveLength(1);
    expect(left).toHaveBeenCalledOnce();
    expect(faults).toEqual([]);
  });

  test("of one client is told of nothing when another one has left", async () => {
    const { openStream } = await serve();
    const [one, other] = [await openStream(), await openStream()];
    leave(other.answer);
    await expect.poll(other.left).toBe(true);
    expect(one.left()).toBe(false);
    one.sink.end();
    expect(await textOf(one.answer)).toBe(": hello\n\n");
  });

  test("that cannot be opened is told as a fault, and its client does not wait", async () => {
    const error = new Error("broken");
    const { ask, faults } = await serve(() => {
      throw error;
    });
    const { answer } = await ask(CLAIMED);
    expect(answer.statusCode).toBe(500);
    expect(await textOf(answer)).toBe("");
    expect(faults).toEqual([error]);
  });
});

test("a request that is no HTTP/2 is refused at once, and told of", async () => {
  const { port, noHttp2, faults } = await serve();
  const refused = new Promise((_, reject) => request({ port, path: "/", agent: false }).on("error", reject).end());
  await expect(refused).rejects.toThrow("Parse Error");
  await expect.poll(() => noHttp2.mock.calls.length).toBe(1);
  expect(faults).toEqual([]);
});

test("a server that closes waits for those who read the ends of their streams, and not for others", async () => {
  const { openStream, server } = await serve();
  const [reading, other] = [await openStream(), await openStream()];
  const text = textOf(reading.answer);
  other.sink.write(MUCH);
  for (const { sink } of [reading, other]) sink.end();
  await server.close();
  expect(await text).toBe(": hello\n\n");
  await expect.poll(other.left).toBe(true);
});

describe("a client that does not read", () => {
  test("holds up no other one of its connection", async () => {
    const { openStream } = await serve();
    for (let n = 0; n < 50; n++) (await openStream()).sink.write(MUCH);
    const { answer, sink } = await openStream();
    sink.write(Buffer.from("data: 1\n\n"));
    sink.end();
    expect(await textOf(answer)).toBe(": hello\n\ndata: 1\n\n");
  });

  test("leaves unread what it has not taken, and drains it once it reads", async () => {
    const { openStream } = await serve();
    const { answer, sink } = await openStream();
    await sink.drained();
    await expect.poll(() => sink.unread).toBe(0);
    sink.write(MUCH);
    expect(sink.unread).toBeGreaterThanOrEqual(MUCH.length);
    const drained = sink.drained();
    expect(await settlesSoon(drained)).toBe(false);
    expect(sink.unread).toBeGreaterThan(MUCH.length / 4);
    answer.resume();
    await drained;
    expect(sink.unread).toBe(0);
    expect(await settlesSoon(sink.drained())).toBe(true);
  });

  test("is waited for no more once it has left", async () => {
    const { openStream } = await serve();
    const { answer, sink, left } = await openStream();
    sink.write(MUCH);
    const waits = [sink.drained(), sink.drained()];
    expect(await settlesSoon(Promise.race(waits))).toBe(false);
    leave(answer);
    await Promise.all(waits);
    await expect.poll(left).toBe(true);
    expect(await settlesSoon(sink.drained())).toBe(true);
  });

  test("is waited for no more once it is cut off", async () => {
    const { openStream } = await serve();
    const { sink, left } = await openStream();
    sink.write(MUCH);
    const drained = sink.drained();
    sink.cut();
    await drained;
    await expect.poll(left).toBe(true);
  });

  test("gets all of it before the end", async () => {
    const { openStream } = await serve();
    const { answer, sink } = await openStream();
    sink.write(MUCH);
    sink.end();
    let length = 0;
    for await (const chunk of answer) length += (chunk as Buffer).length; // No encoding is set.
    expect(length).toBe(HELLO.length + MUCH.length);
    expect(answer.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });
});

test("a cookie that HTTP/2 has split is one again", () => {
  expect(headerFields(["cookie", "a=1", "cookie", "b=2"]).get("cookie")).toBe("a=1; b=2");
});

describe("the headers of a request", () => {
  const headers = headerFields(["Host", "gateway", "X-User", "a", "x-user", "", "X-USER", "b, c"]);

  test("have names in lower case, and values as they came", () => {
    expect([...headers.entries()]).toEqual([
      ["host", "gateway"],
      ["x-user", "a"],
      ["x-user", ""],
      ["x-user", "b, c"],
    ]);
  });

  test("are found by name, several of one name in one value", () => {
    expect(headers.get("host")).toBe("gateway");
    expect(headers.get("x-user")).toBe("a, , b, c");
    expect(headers.get("x-other")).toBeUndefined();
    expect(headerFields(["x-empty", ""]).get("x-empty")).toBe("");
  });

  test("are told of those that are asked for, each once", () => {
    expect(headers.present(new HeaderNames(["x-user", "x-other", "host"]))).toEqual(["x-user", "host"]);
    expect(headers.present(new HeaderNames([]))).toEqual([]);
  });

  test("take as many bytes as their names and values", () => {
    expect(headers.size).toBe("hostgatewayx-userax-userx-userb, c".length);
    expect(headerFields([]).size).toBe(0);
  });
});
