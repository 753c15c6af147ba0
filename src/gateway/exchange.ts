/** What an adapter (ext-proc/) asks of the gateway, for one HTTP request at a time. */
import type { Decision, Reply, RequestHead, ResponseHead } from "../core/http.ts";

export interface Gateway {
  /** Starts the exchange of one HTTP request. */
  open(): Exchange;
}

/** Its phases come in this order. A phase may reject or throw: the adapter then answers by `fault`. */
export interface Exchange {
  /** Decides a request without a body, or asks for the body. */
  requestHeaders(head: RequestHead): Decision;
  /** Decides a POST. */
  requestBody(body: Uint8Array): Decision;
  /** Decides on the head of the answer, whoever gave it. */
  responseHeaders(head: ResponseHead): Decision;
  /** The request has ended, in whatever way; nothing more is asked. */
  closed(): void;
  /** The answer after an error that should not have happened: it never lets the request through. */
  fault(): Reply;
}
