/** Reads the JSON-RPC response in a backend's answer, be it JSON or an event stream. */
import type { Readable } from "node:stream";
import * as z from "zod";
import { ByteCollector } from "../core/bytes.ts";
import { namesEventStream } from "../core/http.ts";
import { parseJson } from "../core/json/parse.ts";
import { dataOf, EventReader, type SseEvent } from "../core/sse/reader.ts";

const responseShape = z.object({
  /** What we read of an initialize; without it, it is an error or something else. A version is a date, and goes into a header. */
  result: z
    .object({
      protocolVersion: z
        .string()
        .regex(/^[\w.-]{1,32}$/)
        .optional(),
    })
    .optional(),
});

export type RpcResponse = z.output<typeof responseShape>;

/**
 * Reads until the first message that has a result or an error; an event stream no further. Its id is not compared with the
 * request's: each request has an HTTP answer of its own, and some servers answer with another id or none.
 * @returns undefined where none has come within `limit` bytes
 * @throws where the body breaks off
 */
export async function firstResponse(
  contentType: string | undefined,
  body: Readable,
  limit: number,
): Promise<RpcResponse | undefined> {
  const text = await firstResponseText(contentType, body, limit);
  return text.kind === "none" ? undefined : readResponse(text.text);
}

/**
 * Reads what an answer says: the JSON-RPC response in an event stream, or else the text of the body.
 * @returns at most `limit` characters
 * @throws where the body breaks off
 */
export async function responseText(contentType: string | undefined, body: Readable, limit: number): Promise<string> {
  return (await firstResponseText(contentType, body, limit)).text.slice(0, limit);
}

interface BodyText {
  /** `response`: of an event. `body`: no event stream. `none`: an event stream without a response, or the limit came first. */
  readonly kind: "response" | "body" | "none";
  /** Where there is no response, what was read. */
  readonly text: string;
}

async function firstResponseText(contentType: string | undefined, body: Readable, limit: number): Promise<BodyText> {
  const reader = namesEventStream(contentType) ? new EventReader(limit) : undefined;
  const all = new ByteCollector();
  const wholeText = () => new TextDecoder("utf-8", { ignoreBOM: true }).decode(all.take());
  // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const text = reader && firstIn(reader.read(chunk));
    if (text !== undefined) return { kind: "response", text };
    all.append(chunk);
    if (all.length > limit) return { kind: "none", text: wholeText() };
  }
  const last = reader?.end();
  const text = last && firstIn([last]);
  if (text !== undefined) return { kind: "response", text };
  return { kind: reader ? "none" : "body", text: wholeText() };
}

/** Returns the text of the first response among events. */
function firstIn(events: readonly SseEvent[] | "too-long"): string | undefined {
  if (events === "too-long") return undefined;
  for (const event of events) {
    const text = dataOf(event);
    if (text !== undefined && readResponse(text)) return text;
  }
  return undefined;
}

function readResponse(json: string): RpcResponse | undefined {
  const value = parseJson(json);
  const isResponse = typeof value === "object" && value !== null && ("result" in value || "error" in value);
  return isResponse ? responseShape.safeParse(value).data : undefined;
}
