/** Answers Envoy's messages about an answer whose body is rewritten as it passes (RewrittenAnswer). */
import { CONTINUE, type RewrittenAnswer, type Verdict } from "../core/http.ts";
import type { EnvoyMessage } from "./decode.ts";
import { IGNORED_MS } from "./replacement.ts";

export interface Rewriting {
  /**
   * The verdict on one message. The first one confirms that Envoy accepted the mode_override.
   * @throws where the message was not read, or the rewriter fails
   */
  read(message: EnvoyMessage): Verdict;
  /** Envoy has ended the stream. Without a confirmation, an early end shows that it ignored the mode_override. */
  finished(): void;
}

export function rewriteBody({ rewriter, onModeOverride }: RewrittenAnswer): Rewriting {
  const answeredAt = performance.now();
  let isConfirmed = false;
  return {
    read(message) {
      if (!isConfirmed) onModeOverride?.("accepted");
      isConfirmed = true;
      if (message.phase === "unreadable") throw message.error;
      if (message.phase !== "response_body") return CONTINUE;
      const written = rewriter.write(message.body);
      const body = message.endOfStream ? Buffer.concat([written, rewriter.end()]) : written;
      return { kind: "mutate", set: [], remove: [], clearRoute: false, body };
    },
    finished() {
      if (!isConfirmed && performance.now() - answeredAt <= IGNORED_MS) onModeOverride?.("ignored");
    },
  };
}
