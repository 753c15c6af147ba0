/**
 * Serves the streams of the gateway's own: each is a GET that Envoy sends here once the processor has claimed its session, or a
 * subscriptions/listen, which is in none. Nothing but Envoy may reach the address (docs/configuration.md, "processor").
 */
import type { ServerHttp2Stream } from "node:http2";
import type { TcpAddress } from "../core/address.ts";
import { LARGEST_LISTEN } from "../core/federation/listen-request.ts";
import { EVENT_STREAM, X_MCP_STREAM } from "../core/headers.ts";
import type { HeaderFields, Reply } from "../core/http.ts";
import {
  readStreamOf,
  readSubscriber,
  type StreamOf,
  type StreamSink,
  type Subscribed,
  type Subscriber,
} from "../core/streams.ts";
import { readBytes } from "./body.ts";
import { headerFields } from "./header-fields.ts";
import type { HttpServer } from "./listen.ts";
import { type Http2Faults, reset, serveHttp2 } from "./server-http2.ts";

/** How long (ms) a client has to read what was written before the end of its stream. */
const END_MS = 5_000;

interface StreamRequest {
  readonly headers: HeaderFields;
  /** With its question mark, or "". */
  readonly query: string;
}

export interface StreamSource extends Http2Faults {
  /**
   * Begins the stream of a session. Returns what is to be called when the client has left.
   * @param request the client's GET
   */
  open(of: StreamOf, request: StreamRequest, sink: StreamSink): () => void;
  /**
   * Begins the stream of a subscription, or refuses it. undefined: the body is no subscriptions/listen, and nothing was written.
   * @param request the client's POST
   */
  subscribe(
    of: Subscriber,
    request: StreamRequest & { readonly body: Uint8Array },
    sink: StreamSink,
  ): Subscribed | undefined;
}

/** @throws where the address cannot be listened on */
export function serveStreams(address: TcpAddress, source: StreamSource): Promise<HttpServer> {
  return serveHttp2(
    address,
    async (stream, { ":method": method, [X_MCP_STREAM]: header }, head) => {
      const written = typeof header === "string" ? header : undefined;
      const of = method === "GET" ? readStreamOf(written) : undefined;
      const subscriber = method === "POST" ? readSubscriber(written) : undefined;
      if (of) open(source, of, stream, head);
      else if (subscriber) await subscribe(source, subscriber, stream, head);
      else refuse(stream, 404, "a stream is opened by Envoy");
    },
    source,
    "processor.streams.listen",
  );
}

function open(source: StreamSource, of: StreamOf, stream: ServerHttp2Stream, head: readonly string[]): void {
  // A body is of no use, and would fill the window.
  if (!stream.endAfterHeaders) stream.resume();
  // It comes once, and `once` would keep as much memory again.
  stream.on("close", source.open(of, requestOf(head), new Http2Sink(stream)));
}

async function subscribe(
  source: StreamSource,
  of: Subscriber,
  stream: ServerHttp2Stream,
  head: readonly string[],
): Promise<void> {
  const body = await readBytes(stream, LARGEST_LISTEN);
  const subscribed = body && source.subscribe(of, { ...requestOf(head), body }, new Http2Sink(stream));
  if (!subscribed) return refuse(stream, 400, "the body is no subscriptions/listen");
  if (subscribed.kind === "reply") return reply(stream, subscribed);
  const { left } = subscribed;
  // While the body was read, the client may have left.
  if (stream.closed) left();
  else stream.once("close", left);
}

function reply(stream: ServerHttp2Stream, { status, headers, body }: Reply): void {
  if (stream.closed || stream.destroyed) return;
  stream.respond({ ":status": status, ...Object.fromEntries(headers) });
  end(stream, Buffer.from(body));
}

function refuse(stream: ServerHttp2Stream, status: number, why: string): void {
  if (stream.closed || stream.destroyed) return;
  stream.respond({ ":status": status, "content-type": "text/plain; charset=utf-8" });
  end(stream, Buffer.from(`${why}\n`));
}

/** A client that does not read would keep the stream. Bytes and no text: Node's HTTP/2 has been seen to send foreign memory for text. */
function end(stream: ServerHttp2Stream, last?: Uint8Array): void {
  // Node ends the answer to a HEAD by itself, ahead of the request.
  if (!stream.writableEnded) stream.end(last);
  setTimeout(reset, END_MS, stream).unref();
}

function requestOf(head: readonly string[]): StreamRequest {
  const path = head[head.indexOf(":path") + 1] ?? "";
  const [, query = ""] = /^[^?]*(.*)$/.exec(path) ?? [];
  return { headers: headerFields(head), query };
}

/** Nothing can be written any more. */
function isOver(stream: ServerHttp2Stream): boolean {
  return stream.closed || stream.destroyed || stream.writableEnded;
}

/** A list, as Node keeps one, where it would keep an object of each stream's own. */
const HEAD = [":status", "200", "content-type", EVENT_STREAM, "cache-control", "no-cache, no-transform"] as const;

/** A stream's head goes out with the first bytes. */
class Http2Sink implements StreamSink {
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  get unread(): number {
    return this.#stream.writableLength;
  }

  drained(): Promise<void> {
    const stream = this.#stream;
    if (!stream.writableNeedDrain || stream.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        stream.off("drain", settle).off("close", settle);
        resolve();
      };
      stream.on("drain", settle).on("close", settle);
    });
  }

  write(bytes: Uint8Array): void {
    // The end of the stream may wait for the client to read what was written before.
    if (isOver(this.#stream)) return;
    this.#begin();
    this.#stream.write(bytes);
  }

  end(): void {
    if (isOver(this.#stream)) return;
    this.#begin();
    end(this.#stream);
  }

  cut(): void {
    reset(this.#stream);
  }

  #begin(): void {
    if (!this.#stream.headersSent) this.#stream.respond(HEAD);
  }
}
