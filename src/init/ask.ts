/** Asks a URL which MCP server answers there: as a client does, without an Envoy. */
import { type Dispatcher, request } from "undici";
import { responseBytes, responseText } from "../backends/first-response.ts";
import { readDiscover } from "../core/federation/discover-read.ts";
import { LIST_KINDS } from "../core/federation/kinds.ts";
import { type Offer, readOffer } from "../core/federation/offer.ts";
import { MCP_METHOD, MCP_PROTOCOL_VERSION, MCP_SESSION_ID } from "../core/headers.ts";
import { isSuccess } from "../core/http.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";
import { DISCOVER } from "../core/mcp/methods.ts";
import { LATEST_SESSION_VERSION, MODERN_VERSION } from "../core/mcp/versions.ts";
import { clientInfoOf } from "../federation/begin-own.ts";
import { envelopeOf } from "../federation/probe.ts";
import { countTools, NO_TOOLS, type Page, type Tools } from "./tools.ts";

const INITIALIZED = "notifications/initialized";

/** How long (ms) a server may take for one answer. */
const WITHIN = 10_000;
const LIMITS = { bytes: 16 * 1024 * 1024, depth: 64 } as const;
/** Most characters of what a server calls itself. */
const LONGEST_TEXT = 80;
/** Most characters of what a server says of an error. */
const LONGEST_MESSAGE = 200;
/** Bytes that are read of an answer that is an error. */
const LONGEST_ERROR = 4 * 1024;

export interface Question {
  readonly url: string;
  /** The router's own version. */
  readonly version: string;
  /** Further ones, for each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Connects. Default: as to any server. */
  readonly dispatcher?: Dispatcher;
  /** Whether its tools are counted. */
  readonly withTools?: boolean;
}

export type Asked =
  | {
      readonly kind: "server";
      readonly name: string | undefined;
      readonly version: string | undefined;
      readonly protocol: string;
      /** undefined: they were not counted. */
      readonly tools: Tools | undefined;
    }
  /** It wants credentials, so it does not say who it is. */
  | { readonly kind: "guarded"; readonly status: number }
  | { readonly kind: "none"; readonly cause: NoServer };

/** What is there in place of a server. */
export type NoServer =
  | { readonly kind: "away"; readonly why: string }
  /** `type`: media type of the body. `message`: of a JSON-RPC error in it. */
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly type: string | undefined;
      readonly message: string | undefined;
    };

/** Never rejects. */
export async function askServer({ withTools = false, version, ...to }: Question): Promise<Asked> {
  const params = `{"protocolVersion":"${LATEST_SESSION_VERSION}","capabilities":{},"clientInfo":${clientInfoOf(version)}}`;
  const first = await send(to, requestOf("initialize", params), {});
  if (first.kind === "away") return { kind: "none", cause: { kind: "away", why: first.why } };
  if (first.status === 401 || first.status === 403) return { kind: "guarded", status: first.status };
  const offer = first.kind === "answer" ? readOffer(first.bytes, LIMITS.depth) : undefined;
  if (offer?.kind === "offer") {
    const said = serverOf(offer.offer, LATEST_SESSION_VERSION);
    const headers = {
      [MCP_PROTOCOL_VERSION]: said.protocol,
      ...(first.session !== undefined && { [MCP_SESSION_ID]: first.session }),
    };
    const tools = withTools ? await toolsInSession(to, offer.offer, headers) : undefined;
    if (first.session !== undefined) await end(to, headers);
    return { ...said, tools };
  }
  const headers = { [MCP_METHOD]: DISCOVER, [MCP_PROTOCOL_VERSION]: MODERN_VERSION };
  const envelope = envelopeOf(version);
  const second = await send(to, requestOf(DISCOVER, `{${envelope}}`), headers);
  const discovered = second.kind === "answer" ? readDiscover(second.bytes, LIMITS.depth) : undefined;
  if (discovered?.kind === "modern") {
    const listing = { ...headers, [MCP_METHOD]: LIST_KINDS.tools.method };
    const tools = withTools ? await countTools(pagesOf(to, listing, `${envelope},`)) : undefined;
    return { ...serverOf(discovered.offer, MODERN_VERSION), tools };
  }
  const message = offer?.kind === "error" ? offer.message : first.kind === "error" ? first.message : undefined;
  return {
    kind: "none",
    cause: { kind: "answered", status: first.status, type: first.type, message: textOf(message, LONGEST_MESSAGE) },
  };
}

/** What is there in place of a server, and what to do. */
export function noServerInWords(cause: NoServer): string {
  if (cause.kind === "away") return `no answer (${cause.why}): is the server running, and is that its URL?`;
  const type = cause.type === undefined ? "" : ` with ${cause.type}`;
  return `no MCP server: it answers an initialize by ${cause.status}${type}; the URL of a server ends in its path, often /mcp`;
}

async function toolsInSession(
  to: Server,
  { capabilities }: Offer,
  headers: Readonly<Record<string, string>>,
): Promise<Tools> {
  if (!capabilities.has("tools")) return NO_TOOLS;
  await send(to, `{"jsonrpc":"2.0","method":"${INITIALIZED}"}`, headers);
  return countTools(pagesOf(to, headers, ""));
}

/** Asks for the page of a list of tools at a cursor. @param before members of the params, each with a comma after it */
function pagesOf(to: Server, headers: Readonly<Record<string, string>>, before: string) {
  return async (cursor: string | undefined): Promise<Page> => {
    const at = cursor === undefined ? "" : `"cursor":${JSON.stringify(cursor)}`;
    const params = `{${before}${at}}`.replace(/,}$/, "}");
    const sent = await send(to, requestOf(LIST_KINDS.tools.method, params), headers);
    if (sent.kind === "away") return { why: sent.why };
    return sent.kind === "answer" ? { bytes: sent.bytes } : { why: `it answers ${sent.status}` };
  };
}

function serverOf({ serverInfo, version: protocol }: Offer, fallback: string) {
  const info = serverInfo === undefined ? undefined : parseJson(serverInfo);
  const { name, version } = isJsonObject(info) ? info : {};
  const said = { name: textOf(name), version: textOf(version), protocol: textOf(protocol) ?? fallback };
  return { kind: "server", ...said } as const;
}

/** For a terminal, and a comment of one line: what a server says of itself may be made to look like something else there. */
function textOf(value: unknown, longest = LONGEST_TEXT): string | undefined {
  if (typeof value !== "string") return undefined;
  return (
    value
      .slice(0, longest)
      .replace(/[\p{C}\p{Z}]+/gu, " ")
      .trim() || undefined
  );
}

interface Head {
  readonly status: number;
  /** Media type of the body. */
  readonly type: string | undefined;
  readonly session: string | undefined;
}

type Sent =
  | ({ readonly kind: "answer"; readonly bytes: Uint8Array } & Head)
  | ({ readonly kind: "no-response" } & Head)
  | ({ readonly kind: "error"; readonly message: unknown } & Head)
  | { readonly kind: "away"; readonly why: string };

type Server = Pick<Question, "url" | "headers" | "dispatcher">;

function requestOf(method: string, params: string): string {
  return `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`;
}

async function send(
  { url, headers: own, dispatcher }: Server,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<Sent> {
  const signal = AbortSignal.timeout(WITHIN);
  try {
    const answer = await request(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...own,
        ...headers,
      },
      body,
      signal,
      ...(dispatcher && { dispatcher }),
    });
    const type = fieldOf(answer.headers["content-type"]);
    const head = { status: answer.statusCode, type: textOf(type), session: fieldOf(answer.headers[MCP_SESSION_ID]) };
    if (!isSuccess(head.status)) {
      const text = await responseText(type, answer.body, LONGEST_ERROR);
      answer.body.on("error", () => undefined).destroy();
      return { kind: "error", message: messageIn(text), ...head };
    }
    const read = await responseBytes(type, answer.body, LIMITS);
    answer.body.on("error", () => undefined).destroy();
    return read.kind === "response" ? { kind: "answer", bytes: read.bytes, ...head } : { kind: "no-response", ...head };
  } catch (error) {
    if (signal.aborted) return { kind: "away", why: `not within ${WITHIN / 1_000} s` };
    return { kind: "away", why: error instanceof Error ? codeOf(error) : String(error) };
  }
}

/** Of a JSON-RPC error. */
function messageIn(text: string): unknown {
  const parsed = parseJson(text);
  const error = isJsonObject(parsed) ? parsed.error : undefined;
  return isJsonObject(error) ? error.message : undefined;
}

function fieldOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

/** The session was for the question alone. */
async function end(
  { url, headers: own, dispatcher }: Server,
  session: Readonly<Record<string, string>>,
): Promise<void> {
  const headers = { ...own, ...session };
  const options = {
    method: "DELETE",
    headers,
    signal: AbortSignal.timeout(WITHIN),
    ...(dispatcher && { dispatcher }),
  } as const;
  const answer = await request(url, options).catch(() => undefined);
  answer?.body.on("error", () => undefined).destroy();
}
