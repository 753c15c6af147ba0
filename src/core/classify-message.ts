/** The second decision, from the body: what kind of traffic a message is, or why it is refused. Pure. */

import { headerValue } from "./header-value.ts";
import { MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION } from "./headers.ts";
import type { HeaderFields } from "./http.ts";
import type { Span } from "./json/span.ts";
import { clientLabel } from "./mcp/client-info.ts";
import { classify, classifyBatch } from "./mcp/era.ts";
import { isOfSessions, methodFault, tooLong } from "./mcp/method-fault.ts";
import { INITIALIZE } from "./mcp/methods.ts";
import { type StateChangeAt, stateChangeOf, stateChangesOf } from "./mcp/session-state.ts";
import { subjectOf } from "./mcp/subjects.ts";
import type { Reject } from "./reject.ts";
import type { RequestPolicy } from "./routes.ts";
import type { Body, Message } from "./rpc/message.ts";
import { readBody } from "./rpc/read.ts";

/** What headers tell Envoy, its filters and its logs of a message: values, percent-encoded. */
export interface Labels {
  readonly method: string | undefined;
  readonly name: string | undefined;
  /** On a route to several backends: the backend's own name of the tool, prompt or resource. */
  readonly tool?: string;
  /** On an initialize: what the client calls itself. */
  readonly client?: string;
}

/** A message that may go on. `id` is the request's, as written. */
export type MessageKind =
  /** Legacy: asks for a new session. `params` is where they stand in the body. */
  | {
      readonly kind: "initialize";
      readonly id: string | undefined;
      readonly labels: Labels;
      readonly params: Span;
      readonly protocolVersion: string | undefined;
    }
  /** Legacy: belongs to a session, if it carries one. */
  | {
      readonly kind: "legacy";
      readonly id: string | undefined;
      readonly labels: Labels;
      readonly body: Body;
      readonly stateChanges?: readonly StateChangeAt[];
    }
  /** Modern: stateless. */
  | {
      readonly kind: "modern";
      readonly id: string | undefined;
      readonly labels: Labels;
      readonly body: Body;
    }
  | { readonly kind: "reject"; readonly id: string | undefined; readonly reject: Reject };

const NO_LABELS: Labels = { method: undefined, name: undefined };
/**
 * Labels of a batch whose messages differ in method or name. It needs some: two brackets would otherwise get a request past a policy
 * that refuses a method or a name. Such a policy must refuse the method "batch" as well.
 */
const BATCH_LABELS: Labels = { method: "batch", name: undefined };

/** Reads a POST body and says what it is. Headers are cross-checks only: the body decides. */
export function classifyMessage(
  bytes: Uint8Array,
  headers: HeaderFields,
  limits: RequestPolicy["limits"],
): MessageKind {
  if (bytes.length > limits.body) return { kind: "reject", id: undefined, reject: { reason: "body-too-large" } };
  const body = readBody(bytes, limits);
  if (body.kind === "unreadable") {
    if (body.reason === "not-json") return { kind: "reject", id: undefined, reject: { reason: "not-json" } };
    return refuse(body.id, { reason: "invalid-request", detail: body.detail, id: body.id });
  }
  return body.kind === "batch"
    ? classifyBatchMessages(body, limits)
    : classifySingleMessage(body, bytes, headers, limits);
}

function classifyBatchMessages(body: Extract<Body, { kind: "batch" }>, limits: RequestPolicy["limits"]): MessageKind {
  const { messages } = body;
  const era = classifyBatch(messages);
  if (era.era !== "legacy") return refuse(undefined, { reason: "invalid-request", detail: era.detail });
  for (const message of messages) {
    const detail = inBatchFault(message) ?? methodFault(message, limits);
    if (detail !== undefined) return refuse(undefined, { reason: "invalid-request", detail });
  }
  // Compared before they are encoded: where they differ, none of them becomes a header.
  const [first, ...others] = messages;
  const agree = first !== undefined && others.every((other) => saysTheSame(first, other));
  const labels = agree ? labelsOf(first, limits) : BATCH_LABELS;
  if (typeof labels === "string") return refuse(undefined, { reason: "invalid-request", detail: labels });
  const stateChanges = stateChangesOf(messages);
  return { kind: "legacy", id: undefined, labels, body, ...(stateChanges && { stateChanges }) };
}

function classifySingleMessage(
  body: Extract<Body, { kind: "single" }>,
  bytes: Uint8Array,
  headers: HeaderFields,
  limits: RequestPolicy["limits"],
): MessageKind {
  const { message } = body;
  const id = message.kind === "request" ? message.id : undefined;
  const fault = methodFault(message, limits);
  if (fault !== undefined) return refuse(id, { reason: "invalid-request", detail: fault, id });
  const era = classify(message, {
    protocolVersion: headers.get(MCP_PROTOCOL_VERSION),
    mcpMethod: headers.get(MCP_METHOD),
    mcpName: headers.get(MCP_NAME),
    longestName: limits.name,
  });
  if (era.era === "mismatch") return refuse(id, { reason: "header-mismatch", detail: era.detail, id });
  if (era.era === "invalid-envelope") return refuse(id, { reason: "invalid-envelope", detail: era.detail, id });
  if (message.kind === "response") return { kind: era.era, id, labels: NO_LABELS, body };

  if (era.era === "modern" && isOfSessions(message.method)) return refuse(id, { reason: "method-unknown", id });
  const labels = labelsOf(message, limits);
  if (typeof labels === "string") return refuse(id, { reason: "invalid-request", detail: labels, id });
  if (message.kind === "request" && message.method === INITIALIZE) {
    const { params } = message;
    if (!params) return refuse(id, { reason: "invalid-request", detail: "initialize needs params", id });
    if (params.end - params.start > limits.initialize) return refuse(id, { reason: "body-too-large", id });
    const client = clientLabel(bytes, params, limits.depth);
    const all = client === undefined ? labels : { ...labels, client };
    return { kind: "initialize", id, labels: all, params, protocolVersion: params.protocolVersion };
  }
  const change = era.era === "legacy" ? stateChangeOf(message) : undefined;
  return { kind: era.era, id, labels, body, ...(change && { stateChanges: [change] }) };
}

/** MCP 2025-03-26, lifecycle: "The initialize request MUST NOT be part of a JSON-RPC batch". */
function inBatchFault(message: Message): string | undefined {
  const initializes = message.kind !== "response" && message.method === INITIALIZE;
  return initializes ? "initialize must not be in a batch" : undefined;
}

/**
 * The labels of a message, or why it has none. Labels become request headers; one that was cut short could slip past a policy that
 * reads it. `methodFault` has refused texts that are too long before they are encoded.
 */
function labelsOf(message: Message, limits: RequestPolicy["limits"]): Labels | string {
  if (message.kind === "response") return NO_LABELS;
  const method = headerValue(message.method, limits.name);
  if (method === undefined) return tooLong("method", limits.name);
  const name = headerValue(nameOf(message), limits.name);
  if (name === undefined) return tooLong("name", limits.name);
  return { method, name: name || undefined };
}

/** An empty name is no name: there is nothing for a header to say. */
function nameOf(message: Message): string {
  return subjectOf(message)?.value ?? "";
}

function saysTheSame(one: Message, other: Message): boolean {
  if (one.kind === "response" || other.kind === "response") return one.kind === other.kind;
  return one.method === other.method && nameOf(one) === nameOf(other);
}

function refuse(id: string | undefined, reject: Reject): MessageKind {
  return { kind: "reject", id, reject };
}
