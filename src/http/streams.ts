/**
 * Serves the streams of the gateway's own: each is a GET that Envoy sends here once the processor has claimed its session, or a
 * subscriptions/listen, which is in none. Nothing but Envoy may reach the address (docs/configuration.md, "processor").
 */
import type { IncomingMessage, ServerResponse } from "node:http";
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
import { type HttpServer, serveHttp } from "./server.ts";

/** How long (ms) a client has to read what was written before the end of its stream. */
const END_MS = 5_000;

interface StreamRequest {
  readonly headers: HeaderFields;
  /** With its question mark, or "". */
  readonly query: string;
}

export interface StreamSource {
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
  /** Called with an error that was answered with 500. */
  fault(error: unknown): void;
}

/** @throws where the address cannot be listened on */
export function serveStreams(address: TcpAddress, source: StreamSource): Promise<HttpServer> {
  return serveHttp(
    address,
    async (request, response) => {
      const header = request.headers[X_MCP_STREAM];
      const written = typeof header === "string" ? header : undefined;
      const of = request.method === "GET" ? readStreamOf(written) : undefined;
      const subscriber = request.method === "POST" ? readSubscriber(written) : undefined;
      // Without a close Envoy would keep the connection for another stream, which may come just as Node gives the connection up.
      response.setHeader("connection", "close");
      if (of) response.on("close", source.open(of, headOf(request), streamTo(response)));
      else if (subscriber) await subscribe(source, subscriber, request, response);
      else refuse(response, 404, "a stream is opened by Envoy");
    },
    source.fault,
    "processor.streams.listen",
  );
}

async function subscribe(
  source: StreamSource,
  of: Subscriber,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBytes(request, LARGEST_LISTEN);
  const subscribed = body && source.subscribe(of, { ...headOf(request), body }, streamTo(response));
  if (!subscribed) return refuse(response, 400, "the body is no subscriptions/listen");
  if (subscribed.kind === "reply") return reply(response, subscribed);
  const { left } = subscribed;
  // While the body was read, the client may have left.
  if (response.closed) left();
  else response.on("close", left);
}

function reply(response: ServerResponse, { status, headers, body }: Reply): void {
  for (const [name, value] of headers) response.setHeader(name, value);
  response.writeHead(status).end(body);
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${why}\n`);
}

function headOf({ rawHeaders, url = "" }: IncomingMessage): StreamRequest {
  const [, query = ""] = /^[^?]*(.*)$/.exec(url) ?? [];
  return { headers: headerFields(rawHeaders), query };
}

function streamTo(response: ServerResponse): StreamSink {
  response.setHeader("content-type", EVENT_STREAM);
  response.setHeader("cache-control", "no-cache, no-transform");
  return {
    get unread() {
      return response.writableLength;
    },
    drained: () => drained(response),
    // The end of the stream may wait for the client to read what was written before.
    write: (bytes) => void (response.writableEnded || response.write(bytes)),
    end() {
      response.end();
      // A client that does not read would keep the connection.
      setTimeout(() => response.destroy(), END_MS).unref();
    },
    cut: () => void response.destroy(),
  };
}

function drained(response: ServerResponse): Promise<void> {
  if (!response.writableNeedDrain || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle).off("close", settle);
      resolve();
    };
    response.on("drain", settle).on("close", settle);
  });
}
