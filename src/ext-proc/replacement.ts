/** Sends the body of a StreamedAnswer, while Envoy sends the body that it replaces. */
import type { StreamedAnswer } from "../core/http.ts";
import type { EnvoyMessage } from "./decode.ts";

/** How long (ms) to wait for Envoy's first response_body before sending anyway: Envoy 1.36 sends none for an empty body. */
const CONFIRMATION_MS = 1_000;
/**
 * How soon (ms) after our head the stream ends where Envoy ignored the mode_override: it ends with the backend's body, 2 to 5 ms
 * after its head on loopback. A later end without a piece of that body comes from a client that stopped waiting.
 */
export const IGNORED_MS = 250;
/**
 * How fast the replaced body is read: so many bytes at once, then so many a second. Envoy sends all of it, and the end of the
 * stream comes after it; a body without an end would take the whole process at full speed.
 */
const READ_AT_ONCE = 1024 * 1024;
const READ_A_SECOND = 1024 * 1024;
const NOTHING = new Uint8Array();

export interface ReplacementChannel {
  /** Sends a piece of the new body. Resolves when there is room for more. */
  send(body: Uint8Array, last: boolean): Promise<void>;
  /** Reads nothing for so many ms: Envoy holds what it would send, and takes no more of it from the backend. */
  pause(ms: number): void;
}

export interface Replacement {
  /** Resolves when all was sent, or the stream is over. Rejects where the new body breaks off. */
  readonly sent: Promise<void>;
  /** Drops a message about the replaced body. The first one confirms that Envoy accepted the mode_override. */
  read(message: EnvoyMessage): void;
  /** Envoy has ended the stream. Without a confirmation, an early end shows that it ignored the mode_override. */
  finished(): void;
}

/** Sends nothing before Envoy confirms: a piece that comes earlier is spurious to it, and it cuts the client off. */
export function replaceBody({ body, onModeOverride }: StreamedAnswer, channel: ReplacementChannel): Replacement {
  const answeredAt = performance.now();
  const confirmation = Promise.withResolvers<void>();
  let stage: "offered" | "sending" | "over" = "offered";
  let bytesRead = 0;
  const begin = () => {
    clearTimeout(timer);
    stage = "sending";
    confirmation.resolve();
  };
  const timer = setTimeout(begin, CONFIRMATION_MS).unref();
  // Asked by a function, since TypeScript takes `stage` for what it was before the wait.
  const isOver = () => stage === "over";

  const send = async () => {
    await confirmation.promise;
    for await (const piece of body) {
      if (isOver()) return;
      await channel.send(piece, false);
    }
    if (!isOver()) await channel.send(NOTHING, true);
  };

  return {
    sent: send(),
    read(message) {
      if (stage === "offered") {
        onModeOverride("accepted");
        begin();
      }
      if (message.phase !== "response_body") return;
      bytesRead += message.body.length;
      if (bytesRead > READ_AT_ONCE) channel.pause((1000 * message.body.length) / READ_A_SECOND);
    },
    finished() {
      if (stage === "offered" && performance.now() - answeredAt <= IGNORED_MS) onModeOverride("ignored");
      clearTimeout(timer);
      stage = "over";
      confirmation.resolve();
    },
  };
}
