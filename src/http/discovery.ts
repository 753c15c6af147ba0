/**
 * Answers an Envoy that follows the configuration: `POST /v3/discovery:clusters`, `:listeners` and `:routes`
 * (envoy.service.discovery.v3, `api_type: REST`).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import * as z from "zod";
import { readBytes } from "./body.ts";

export const DISCOVERY_PATH = "/v3/discovery:";

/** Most bytes of a request. Envoy lists its extensions in each, about 60 KiB. */
const LARGEST_REQUEST = 256 * 1024;
/** Most characters of the name of an Envoy that are kept. */
const LONGEST_ID = 128;
/** Longest version. Those of routers are shorter; longer ones would be kept for each Envoy that asks. */
const LONGEST_VERSION = 64;

/** envoy.service.discovery.v3.DiscoveryRequest, in proto3 JSON: its fields come in either spelling. */
const discoveryRequest = z.object({
  version_info: z.string().max(LONGEST_VERSION).optional(),
  versionInfo: z.string().max(LONGEST_VERSION).optional(),
  resource_names: z.array(z.string()).optional(),
  resourceNames: z.array(z.string()).optional(),
  node: z.object({ id: z.string().optional() }).optional(),
});

/** What an Envoy asks. */
export interface DiscoveryPoll {
  /** Which one asks, as far as it can be told. For one line of text: its own part of that has no space and no control character. */
  readonly envoy: string;
  /** `clusters`, `listeners` or `routes`; or any other text. */
  readonly kind: string;
  /** Of routes the table. */
  readonly table: string | undefined;
  /** What it has; undefined: nothing yet. */
  readonly version: string | undefined;
}

export type DiscoveryAnswer =
  /** `body`: JSON text of envoy.service.discovery.v3.DiscoveryResponse. */
  | { readonly kind: "given"; readonly body: string }
  /** It goes on with what it has. */
  | { readonly kind: "current" }
  | { readonly kind: "unknown" };

export async function answerDiscovery(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (poll: DiscoveryPoll) => DiscoveryAnswer,
): Promise<void> {
  const body = await readBytes(request, LARGEST_REQUEST);
  const poll = body && pollIn(body, request);
  if (!poll) return refuse(response, 400, "the body is no DiscoveryRequest");
  const answered = answer(poll);
  switch (answered.kind) {
    case "given":
      response.writeHead(200, { "content-type": "application/json" }).end(answered.body);
      return;
    case "current":
      response.writeHead(304).end();
      return;
    default:
      refuse(response, 404, "Envoy is told of clusters, listeners, and routes of a listener");
  }
}

function pollIn(body: Uint8Array, { url = "", socket }: IncomingMessage): DiscoveryPoll | undefined {
  const parsed = discoveryRequest.safeParse(jsonIn(body));
  if (!parsed.success) return undefined;
  const { version_info, versionInfo, resource_names, resourceNames, node } = parsed.data;
  const [table] = resource_names ?? resourceNames ?? [];
  // An empty text is the default of proto3: Envoy has nothing yet.
  const version = (version_info ?? versionInfo) || undefined;
  return {
    envoy: `${nameOf(node?.id ?? "")} at ${socket.remoteAddress ?? "?"}`,
    kind: url.slice(DISCOVERY_PATH.length),
    table,
    version,
  };
}

/**
 * What an Envoy calls itself stands in lines of the log and of `/readyz`: with all that is no visible ASCII escaped it cannot be taken for
 * other words of such a line, or for a line of its own. Made of its characters anew, so that the rest of a long one is not kept.
 */
function nameOf(id: string): string {
  return Array.from(id.slice(0, LONGEST_ID), (character) =>
    /^[!-[\]-~]$/.test(character) ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  ).join("");
}

function jsonIn(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${why}\n`);
}
