/**
 * An HTTP/2 server in cleartext, for Envoy alone. It has Node's streams as they are: of its requests and responses in the manner of
 * HTTP/1.1, which it can make of them, each costs as much memory again.
 */
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { type HttpServer, listenAt } from "./listen.ts";

/** Streams of one connection. Envoy opens another connection for more (`max_concurrent_streams` of its cluster). */
const STREAMS_OF_CONNECTION = 100;
/**
 * Bytes that Envoy may send on one stream, and on a connection, before any of them was read: all of a connection's streams together
 * are below, so that no body holds up the other streams.
 */
const STREAM_WINDOW = 64 * 1024;
const CONNECTION_WINDOW = 2 * STREAMS_OF_CONNECTION * STREAM_WINDOW;
/**
 * Largest head (bytes) of a request. Envoy passes on heads of up to 60 KiB (max_request_headers_kb) and adds some headers of its own;
 * HTTP/2 counts 32 bytes more for each of them.
 */
const LARGEST_HEAD = 96 * 1024;
/** Most headers of a request. Envoy passes on 100 (max_headers_count), and Node would take 128. */
const MOST_HEADERS = 512;
/** Streams that clients may leave in a burst, and in each second, before Node's HTTP/2 gives up on the connection. */
const STREAM_RESETS = 1_000_000;
/** MiB that one connection may hold before Node refuses new streams on it. What clients leave unread is bounded elsewhere. */
const SESSION_MEMORY = 4_096;
/** How long (ms) clients have to read the ends of their streams, once the server closes. */
const CLOSE_MS = 1_000;
/** nghttp2's NGHTTP2_ERR_BAD_CLIENT_MAGIC: what came is no HTTP/2. */
const NO_HTTP2 = -903;

/**
 * Answers a request. A rejection becomes a 500.
 * @param head names and values by turns, as `rawHeaders` of HTTP/1.1, with what HTTP/2 has in place of the request line
 */
export type StreamAnswer = (
  stream: ServerHttp2Stream,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  head: readonly string[],
) => Promise<void>;

export interface Http2Faults {
  /** Called with an error that was answered with 500. */
  fault(error: unknown): void;
  /** Called where somebody speaks another protocol. */
  noHttp2(): void;
}

/** @throws where the address cannot be listened on */
export async function serveHttp2(
  address: { readonly host: string; readonly port: number },
  answer: StreamAnswer,
  faults: Http2Faults,
  setting: string,
): Promise<HttpServer> {
  const server = createServer({
    settings: {
      maxConcurrentStreams: STREAMS_OF_CONNECTION,
      initialWindowSize: STREAM_WINDOW,
      maxHeaderListSize: LARGEST_HEAD,
    },
    maxHeaderListPairs: MOST_HEADERS,
    maxSessionMemory: SESSION_MEMORY,
    streamResetBurst: STREAM_RESETS,
    streamResetRate: STREAM_RESETS,
  });
  server.on("stream", (stream, headers, _flags, head) => {
    // A connection that breaks is told of on each of its streams, and `close` follows.
    stream.on("error", ignore);
    answer(stream, headers, head).catch((error: unknown) => {
      faults.fault(error);
      if (!stream.headersSent && !stream.destroyed) stream.respond({ ":status": 500 });
      if (!stream.writableEnded) stream.end();
    });
  });
  server.on("sessionError", (error: NodeJS.ErrnoException) => {
    if (error.errno === NO_HTTP2) faults.noHttp2();
  });
  const close = closing(server);
  await listenAt(server, address, setting);
  return { close };
}

/** Cuts a stream off. Node's `close` would have the client see an end ahead of the reset. */
export function reset(stream: ServerHttp2Stream): void {
  stream.destroy(new Error("cut off"));
}

function closing(server: Http2Server): () => Promise<void> {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW);
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  return () =>
    new Promise((resolve) => {
      const cut = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, CLOSE_MS);
      server.close(() => {
        clearTimeout(cut);
        resolve();
      });
      for (const session of sessions) session.close();
    });
}

function ignore(): void {
  // Nobody is there to be told.
}
