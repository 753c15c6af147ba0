/** The first JSON-RPC answer in the body of a backend, be it JSON or an event stream. */
import type { Readable } from "node:stream";
import * as z from "zod";
import { EVENT_STREAM } from "../core/headers.ts";

const answerShape = z.object({
  /** Of an initialize what we read; without it, it is an error or something else. */
  result: z.object({ protocolVersion: z.string().optional() }).optional(),
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
  const isStream = contentType?.includes(EVENT_STREAM) ?? false;
  let text = "";
  let length = 0;
  // Leaving the loop destroys the body.
  for await (const chunk of body.setEncoding("utf8")) {
    text += String(chunk);
    length += Buffer.byteLength(String(chunk));
    if (isStream) {
      const events = text.split(/\r?\n\r?\n/);
      text = events.pop() ?? "";
      for (const event of events) {
        const message = readAnswer(dataOf(event));
        if (message) return message;
      }
    }
    if (length > limit) return undefined;
  }
  return isStream ? readAnswer(dataOf(text)) : readAnswer(text);
}

/** The data lines of one event (HTML, "Server-sent events"). */
function dataOf(event: string): string {
  return event
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice("data:".length))
    .join("\n");
}

function readAnswer(json: string): BackendAnswer | undefined {
  try {
    const value: unknown = JSON.parse(json);
    const isAnswer = typeof value === "object" && value !== null && ("result" in value || "error" in value);
    return isAnswer ? answerShape.parse(value) : undefined;
  } catch {
    return undefined;
  }
}
