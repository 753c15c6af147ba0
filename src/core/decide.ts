/** The second decision, from the body: what kind of traffic a message is, or why it is refused. Pure. */
import { classify, classifyBatch } from "./era.ts";
import { MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION } from "./headers.ts";
import type { HeaderFields } from "./http.ts";
import type { Body, Message, Span } from "./message.ts";
import { headerValue, subjectOf } from "./names.ts";
import { readBody } from "./read.ts";
import type { Reject } from "./reject.ts";
import type { RequestPolicy } from "./routes.ts";

/** What Envoy, its filters and its logs are told of a message: header values, percent-encoded. */
export interface Labels {
  readonly method: string | undefined;
  readonly name: string | undefined;
}

/** A message that may go on. `id` is the request's, as written. */
export type Intent =
  /** Legacy: asks for a new session. `params` is where they stand in the body. */
  | {
      readonly kind: "initialize";
      readonly id: string | undefined;
      readonly labels: Labels;
      readonly params: Span;
      readonly protocolVersion: string | undefined;
    }
  /** Legacy: belongs to a session, if it carries one. */
  | { readonly kind: "legacy"; readonly id: string | undefined; readonly labels: Labels }
  /** Modern: stateless. */
  | { readonly kind: "modern"; readonly id: string | undefined; readonly labels: Labels }
  | { readonly kind: "reject"; readonly id: string | undefined; readonly reject: Reject };

const NO_LABELS: Labels = { method: undefined, name: undefined };

/** Reads a POST body and says what it is. Headers are cross-checks only: the body decides. */
export function decide(bytes: Uint8Array, headers: HeaderFields, limits: RequestPolicy["limits"]): Intent {
  if (bytes.length > limits.body) return { kind: "reject", id: undefined, reject: { reason: "body_too_large" } };
  const body = readBody(bytes, limits);
  if (body.kind === "unreadable") {
    if (body.reason === "not-json") return { kind: "reject", id: undefined, reject: { reason: "not_json" } };
    return refuse(body.id, { reason: "invalid_request", detail: body.detail, id: body.id });
  }
  return body.kind === "batch" ? decideBatch(body) : decideMessage(body.message, headers, limits);
}

function decideBatch({ messages }: Extract<Body, { kind: "batch" }>): Intent {
  const era = classifyBatch(messages);
  if (era.era !== "legacy") return refuse(undefined, { reason: "invalid_request", detail: era.detail });
  const initializes = messages.some((message) => message.kind === "request" && message.method === "initialize");
  // MCP 2025-03-26, lifecycle: "The initialize request MUST NOT be part of a JSON-RPC batch".
  if (initializes) return refuse(undefined, { reason: "invalid_request", detail: "initialize must not be in a batch" });
  return { kind: "legacy", id: undefined, labels: NO_LABELS };
}

function decideMessage(message: Message, headers: HeaderFields, limits: RequestPolicy["limits"]): Intent {
  const id = message.kind === "request" ? message.id : undefined;
  const era = classify(message, {
    protocolVersion: headers.get(MCP_PROTOCOL_VERSION),
    mcpMethod: headers.get(MCP_METHOD),
    mcpName: headers.get(MCP_NAME),
  });
  if (era.era === "mismatch") return refuse(id, { reason: "header_mismatch", detail: era.detail, id });
  if (era.era === "invalid-envelope") return refuse(id, { reason: "invalid_envelope", detail: era.detail, id });
  if (message.kind === "response") return { kind: era.era, id, labels: NO_LABELS };

  const method = headerValue(message.method);
  const subject = subjectOf(message);
  // An empty name is no name: there is nothing for a header to say.
  const name = headerValue(subject?.value ?? "") || undefined;
  const tooLong = method.length > limits.name ? "method" : name && name.length > limits.name ? "name" : undefined;
  if (tooLong) {
    // They become request headers, and a header cut short could slip past a policy that looks at it.
    const detail = `the ${tooLong} is longer than ${limits.name} bytes as a header value`;
    return refuse(id, { reason: "invalid_request", detail, id });
  }
  const labels = { method, name };
  if (era.era === "legacy" && message.kind === "request" && message.method === "initialize") {
    const { params } = message;
    if (!params) return refuse(id, { reason: "invalid_request", detail: "initialize needs params", id });
    if (params.end - params.start > limits.initialize) return refuse(id, { reason: "body_too_large", id });
    return { kind: "initialize", id, labels, params, protocolVersion: params.protocolVersion };
  }
  return { kind: era.era, id, labels };
}

function refuse(id: string | undefined, reject: Reject): Intent {
  return { kind: "reject", id, reject };
}
