/** The first JSON-RPC answer in the body of a backend, be it JSON or an event stream. */
import type { Readable } from "node:stream";
import * as z from "zod";
import { namesEventStream } from "../core/http.ts";
import { eventReader, withoutByteOrderMark } from "../core/sse/reader.ts";

const answerShape = z.object({
  /** Of an initialize what we read; without it, it is an error or something else. A version is a date, and goes into a header. */
  result: z
    .object({
      protocolVersion: z
        .string()
        .regex(/^[\w.-]{1,32}$/)
        .optional(),
    })
    .optional(),
});

export type BackendAnswer = z.output<typeof answerShape>;

/**
 * Reads until the first message that has a result or an error; of an event stream no further.
 * @returns undefined where none has come by the time that more than `limit` bytes are read
 */
export async function firstMessage(
  contentType: string | undefined,
  body: Readable,
  limit: number,
): Promise<BackendAnswer | undefined> {
  const isStream = namesEventStream(contentType);
  const read = eventReader();
  let text = "";
  let length = 0;
  // Leaving the loop destroys the body.
  for await (const chunk of body.setEncoding("utf8")) {
    const piece = String(chunk);
    length += Buffer.byteLength(piece);
    if (isStream) {
      const answer = firstAnswer(read(piece));
      if (answer) return answer;
    } else text += piece;
    if (length > limit) return undefined;
  }
  // The last event may lack its end.
  return firstAnswer(isStream ? read("\n\n") : [text]);
}

/**
 * Reads what an answer says: the text of its body, or of an event stream its first JSON-RPC answer, and no further.
 * @returns at most so many characters
 */
export async function textOfAnswer(contentType: string | undefined, body: Readable, limit: number): Promise<string> {
  const read = namesEventStream(contentType) ? eventReader() : undefined;
  let text = "";
  // Leaving the loop destroys the body.
  for await (const chunk of body.setEncoding("utf8")) {
    const piece = String(chunk);
    const message = read?.(piece).find((event) => readAnswer(event));
    if (message !== undefined) return message.slice(0, limit);
    text += piece;
    if (text.length >= limit) return text.slice(0, limit);
  }
  return read?.("\n\n").find((event) => readAnswer(event)) ?? text;
}

function firstAnswer(messages: readonly string[]): BackendAnswer | undefined {
  for (const message of messages) {
    const answer = readAnswer(message);
    if (answer) return answer;
  }
  return undefined;
}

function readAnswer(json: string): BackendAnswer | undefined {
  try {
    const value: unknown = JSON.parse(withoutByteOrderMark(json));
    const isAnswer = typeof value === "object" && value !== null && ("result" in value || "error" in value);
    return isAnswer ? answerShape.parse(value) : undefined;
  } catch {
    return undefined;
  }
}
