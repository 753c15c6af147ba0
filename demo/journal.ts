/** What the demo's clients sent and got, each HTTP request by itself, so that it can be held against Envoy's access log. */

import { type FetchLike, type JSONRPCMessage, parseJSONRPCMessage } from "@modelcontextprotocol/client";
import { createParser } from "eventsource-parser";
import { MCP_SESSION_ID, X_CLIENT_ID } from "../src/core/headers.ts";

/** One event of an answer, or the answer itself where it is JSON; `at` in ms by `performance.now()`. */
export interface Arrival {
  readonly at: number;
  readonly message: JSONRPCMessage;
}

/** One HTTP request, as its client saw it. */
export interface Exchange {
  /** Sent as `x-client-id`, which Envoy logs: unique. */
  readonly tag: string;
  readonly client: string;
  readonly path: string;
  readonly verb: string;
  /** The message that was sent; absent without a body, or where it is none. */
  readonly message: JSONRPCMessage | undefined;
  /** The JSON-RPC method, and the tool called by it; what is answered, where the client answers; for GET and DELETE those. */
  readonly what: string;
  /** Status that the client must get. */
  expected: number;
  /** A refusal is the router's own: it must reach no backend. */
  refused: boolean;
  /** Its session was lost: it reached its endpoint in vain, and was sent again by the router. */
  lost: boolean;
  status: number | undefined;
  contentType: string | undefined;
  /** The session that the answer named. */
  sessionId: string | undefined;
  readonly arrivals: Arrival[];
  /** What was right about it. */
  readonly notes: string[];
  /** What was not. */
  readonly problems: string[];
}

export interface Journal {
  /** In the order in which they were sent. */
  readonly exchanges: readonly Exchange[];
  readonly sections: readonly { readonly title: string; readonly exchanges: readonly Exchange[] }[];
  /** What follows belongs under this title. */
  section(title: string): void;
  /** A `fetch` that notes each request as this client's. */
  fetchAs(client: string): FetchLike;
  /** The newest request of a client, of one kind where `what` is given. */
  last(client: string, what?: string): Exchange;
}

export function createJournal(): Journal {
  const sections: { title: string; exchanges: Exchange[] }[] = [];
  const exchanges: Exchange[] = [];

  const fetchAs =
    (client: string): FetchLike =>
    async (url, init) => {
      const earlier = exchanges.filter((one) => one.client === client);
      const exchange = open(`${client}/${exchanges.length + 1}`, client, new URL(url), init, earlier);
      exchanges.push(exchange);
      sections.at(-1)?.exchanges.push(exchange);
      const headers = new Headers(init?.headers);
      headers.set(X_CLIENT_ID, exchange.tag);
      const response = await fetch(url, { ...init, headers });
      exchange.status = response.status;
      exchange.contentType = response.headers.get("content-type")?.split(";", 1)[0];
      exchange.sessionId = response.headers.get(MCP_SESSION_ID) ?? undefined;
      if (!response.body) return response;
      return new Response(response.body.pipeThrough(watch(exchange)), response);
    };

  return {
    exchanges,
    sections,
    section: (title) => void sections.push({ title, exchanges: [] }),
    fetchAs,
    last(client, what) {
      const found = exchanges.findLast((one) => one.client === client && (what === undefined || one.what === what));
      if (!found) throw new Error(`${client} sent no ${what ?? "request"}`);
      return found;
    },
  };
}

/** Notes whether something about a request is as it should be. */
export function check(exchange: Exchange, right: boolean, note: string, got?: unknown): void {
  if (right) exchange.notes.push(note);
  else exchange.problems.push(`should be: ${note}${got === undefined ? "" : `; is: ${JSON.stringify(got)}`}`);
}

function open(
  tag: string,
  client: string,
  url: URL,
  init: RequestInit | undefined,
  earlier: readonly Exchange[],
): Exchange {
  const verb = init?.method ?? "GET";
  const message = typeof init?.body === "string" ? readMessage(init.body) : undefined;
  const expectsAnswer = verb !== "POST" || (message !== undefined && "method" in message && "id" in message);
  return {
    tag,
    client,
    path: url.pathname,
    verb,
    message,
    what: describe(verb, message, earlier),
    expected: expectsAnswer ? 200 : 202,
    refused: false,
    lost: false,
    status: undefined,
    contentType: undefined,
    sessionId: undefined,
    arrivals: [],
    notes: [],
    problems: [],
  };
}

function describe(verb: string, message: JSONRPCMessage | undefined, earlier: readonly Exchange[]): string {
  if (verb !== "POST") return verb;
  if (!message) return "(not JSON)";
  if ("method" in message) {
    const name = message.params?.name;
    return typeof name === "string" ? `${message.method} ${name}` : message.method;
  }
  // A request of the server came to this client in an event; its answer goes by the same id.
  for (const { message: asked } of earlier.flatMap(({ arrivals }) => arrivals))
    if ("method" in asked && "id" in asked && asked.id === message.id) return `answer to ${asked.method}`;
  return "answer";
}

/** Lets an answer through untouched, and notes the messages in it as they pass. */
function watch(exchange: Exchange): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  const isStream = exchange.contentType === "text/event-stream";
  let text = "";
  const events = createParser({ onEvent: ({ data }) => note(data) });
  const note = (written: string) => {
    const message = readMessage(written);
    if (message) exchange.arrivals.push({ at: performance.now(), message });
  };
  return new TransformStream({
    transform(chunk, controller) {
      const piece = decoder.decode(chunk, { stream: true });
      if (isStream) events.feed(piece);
      else text += piece;
      controller.enqueue(chunk);
    },
    flush() {
      if (!isStream) note(text);
    },
  });
}

function readMessage(text: string): JSONRPCMessage | undefined {
  try {
    return parseJSONRPCMessage(JSON.parse(text));
  } catch {
    return undefined;
  }
}
