/** Answers Envoy's messages about an answer whose body is rewritten as it passes (RewrittenAnswer). */
import { type BodyRewriter, CONTINUE, type Verdict } from "../core/http.ts";
import type { EnvoyMessage } from "./decode.ts";

/**
 * The verdict on one message.
 * @throws where the message was not read, or the rewriter fails
 */
export function rewritten(rewriter: BodyRewriter, message: EnvoyMessage): Verdict {
  if (message.phase === "unreadable") throw message.error;
  if (message.phase !== "response_body") return CONTINUE;
  const written = rewriter.write(message.body);
  const body = message.endOfStream ? Buffer.concat([written, rewriter.end()]) : written;
  return { kind: "mutate", set: [], remove: [], clearRoute: false, body };
}
