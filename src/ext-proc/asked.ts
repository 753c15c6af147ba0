/** What the stream knows of a message of Envoy's after it was read. */
import { namesEventStream } from "../core/http.ts";
import type { EnvoyMessage, Phase } from "./decode.ts";

/** What is kept of a message while its verdict is being made: an initialize may wait long, and its body must not. */
export interface Asked {
  readonly phase: Phase;
  /** The message is the head of an event stream. */
  readonly isEventStream: boolean;
}

const NO_EVENTS: Readonly<Record<Phase, Asked>> = {
  request_headers: { phase: "request_headers", isEventStream: false },
  request_body: { phase: "request_body", isEventStream: false },
  request_trailers: { phase: "request_trailers", isEventStream: false },
  response_headers: { phase: "response_headers", isEventStream: false },
  response_body: { phase: "response_body", isEventStream: false },
  response_trailers: { phase: "response_trailers", isEventStream: false },
  unreadable: { phase: "unreadable", isEventStream: false },
};
const EVENTS: Asked = { phase: "response_headers", isEventStream: true };

export function askedBy(message: EnvoyMessage): Asked {
  const isEventStream = message.phase === "response_headers" && namesEventStream(message.headers.get("content-type"));
  return isEventStream ? EVENTS : NO_EVENTS[message.phase];
}
