/** Asks a URL which MCP server answers there: as a client does, without an Envoy. */
import { request } from "undici";
import { responseBytes } from "../backends/first-response.ts";
import { readDiscover } from "../core/federation/discover-read.ts";
import { type Offer, readOffer } from "../core/federation/offer.ts";
import { MCP_METHOD, MCP_PROTOCOL_VERSION, MCP_SESSION_ID } from "../core/headers.ts";
import { isSuccess } from "../core/http.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";
import { DISCOVER } from "../core/mcp/methods.ts";
import { LATEST_SESSION_VERSION, MODERN_VERSION } from "../core/mcp/versions.ts";
import { clientInfoOf } from "../federation/begin-own.ts";
import { envelopeOf } from "../federation/probe.ts";

/** How long (ms) a server may take for one answer. */
const WITHIN = 10_000;
const LIMITS = { bytes: 1024 * 1024, depth: 64 } as const;
/** Most characters of what a server calls itself. */
const LONGEST_TEXT = 80;

export type Asked =
  | {
      readonly kind: "server";
      readonly name: string | undefined;
      readonly version: string | undefined;
      readonly protocol: string;
    }
  /** It wants credentials, so it does not say who it is. */
  | { readonly kind: "guarded"; readonly status: number }
  /** `why`: in words, with what to do. */
  | { readonly kind: "none"; readonly why: string };

/** Never rejects. @param version the router's own */
export async function askServer(url: string, version: string): Promise<Asked> {
  const params = `{"protocolVersion":"${LATEST_SESSION_VERSION}","capabilities":{},"clientInfo":${clientInfoOf(version)}}`;
  const first = await send(url, "initialize", params, {});
  if (first.kind === "away")
    return { kind: "none", why: `no answer (${first.why}): is the server running, and is that its URL?` };
  if (first.status === 401 || first.status === 403) return { kind: "guarded", status: first.status };
  const offer = first.kind === "answer" ? readOffer(first.bytes, LIMITS.depth) : undefined;
  if (offer?.kind === "offer") {
    await end(url, first.session);
    return serverOf(offer.offer, LATEST_SESSION_VERSION);
  }
  const headers = { [MCP_METHOD]: DISCOVER, [MCP_PROTOCOL_VERSION]: MODERN_VERSION };
  const second = await send(url, DISCOVER, `{${envelopeOf(version)}}`, headers);
  const discovered = second.kind === "answer" ? readDiscover(second.bytes, LIMITS.depth) : undefined;
  if (discovered?.kind === "modern") return serverOf(discovered.offer, MODERN_VERSION);
  const type = first.type === undefined ? "" : ` with ${first.type}`;
  return {
    kind: "none",
    why: `no MCP server: it answers an initialize by ${first.status}${type}; the URL of a server ends in its path, often /mcp`,
  };
}

function serverOf({ serverInfo, version: protocol }: Offer, fallback: string): Asked {
  const info = serverInfo === undefined ? undefined : parseJson(serverInfo);
  const { name, version } = isJsonObject(info) ? info : {};
  return { kind: "server", name: textOf(name), version: textOf(version), protocol: textOf(protocol) ?? fallback };
}

/** For a terminal, and a comment of one line: what a server says of itself may be made to look like something else there. */
function textOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  return (
    value
      .slice(0, LONGEST_TEXT)
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
  | { readonly kind: "away"; readonly why: string };

async function send(
  url: string,
  method: string,
  params: string,
  headers: Readonly<Record<string, string>>,
): Promise<Sent> {
  const signal = AbortSignal.timeout(WITHIN);
  try {
    const answer = await request(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
      body: `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`,
      signal,
    });
    const type = fieldOf(answer.headers["content-type"]);
    const head = { status: answer.statusCode, type: textOf(type), session: fieldOf(answer.headers[MCP_SESSION_ID]) };
    const read = isSuccess(head.status) ? await responseBytes(type, answer.body, LIMITS) : undefined;
    answer.body.on("error", () => undefined).destroy();
    return read?.kind === "response"
      ? { kind: "answer", bytes: read.bytes, ...head }
      : { kind: "no-response", ...head };
  } catch (error) {
    if (signal.aborted) return { kind: "away", why: `not within ${WITHIN / 1_000} s` };
    return { kind: "away", why: error instanceof Error ? codeOf(error) : String(error) };
  }
}

function fieldOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

/** The session was for the question alone. */
async function end(url: string, session: string | undefined): Promise<void> {
  if (session === undefined) return;
  const headers = { [MCP_SESSION_ID]: session, [MCP_PROTOCOL_VERSION]: LATEST_SESSION_VERSION };
  const answer = await request(url, { method: "DELETE", headers, signal: AbortSignal.timeout(WITHIN) }).catch(
    () => undefined,
  );
  answer?.body.on("error", () => undefined).destroy();
}
