/** Asks the router and Envoy for what they tell operators. */
import { type IncomingMessage, request } from "node:http";

/** How long (ms) an answer may take. */
const TIMEOUT_MS = 2_000;
/** Most bytes of an answer: Envoy's whole configuration has some MiB. */
const LARGEST_ANSWER = 64 * 1024 * 1024;

/** Its answer; or, in words, why there is none. */
export type Got = { readonly status: number; readonly body: string } | { readonly why: string };

/** Never rejects. */
export function get(url: string): Promise<Got> {
  const { promise, resolve } = Promise.withResolvers<Got>();
  const failed = (error: Error) =>
    resolve({ why: error.name === "AbortError" ? `not within ${TIMEOUT_MS / 1_000} s` : error.message });
  const sent = request(url, { agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
    const { statusCode: status = 0 } = response;
    textOf(response).then((body) => resolve({ status, body }), failed);
  });
  sent.on("error", failed).end();
  return promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    // Safe: without an encoding a response yields Buffers.
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > LARGEST_ANSWER) throw new Error(`its answer is larger than ${LARGEST_ANSWER / 1024 / 1024} MiB`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString();
}
