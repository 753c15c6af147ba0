/** An egress that answers without a network, and remembers what it was asked. */
import { Readable } from "node:stream";
import type { Answer, Egress } from "../../../src/backends/client.ts";

export type Sent = Parameters<Egress["send"]>[0];

export interface AnswerOptions {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly setCookies?: readonly string[];
  readonly body?: Readable | string;
}

export function answerWith({ status = 200, headers = {}, setCookies = [], body = "" }: AnswerOptions): Answer {
  const readable = typeof body === "string" ? Readable.from(body === "" ? [] : [Buffer.from(body)]) : body;
  return {
    status,
    header: (name) => headers[name],
    headers: [...Object.entries(headers), ...setCookies.map((text) => ["set-cookie", text] as const)],
    endpoint: undefined,
    body: readable,
    discard: () => void readable.destroy(),
  };
}

/** @param answer given to each call, or thrown where it is an Error */
export function egressWith(answer: Answer | Error): { readonly egress: Egress; readonly sent: Sent[] } {
  const sent: Sent[] = [];
  const egress: Egress = {
    async send(call, signal) {
      signal.throwIfAborted();
      sent.push(call);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    close: async () => undefined,
  };
  return { egress, sent };
}
