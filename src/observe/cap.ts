/** Log lines about sessions at a cap. */
import type { Logger } from "../telemetry/log.ts";
import { seldomCounted } from "../telemetry/seldom.ts";

/** Warns, at most once a minute, that sessions are at a cap. `slot`: how the initialize fared. */
export type AtCap = (slot: "taken over" | "refused") => void;

export function capObserver(log: Logger, cap: () => number | undefined): AtCap {
  const isDue = seldomCounted();
  return (slot) => {
    const times = isDue(slot);
    if (times === 0) return;
    const line = { sessions: cap(), slot, times };
    log.warn(
      line,
      slot === "refused"
        ? "admission.sessions is reached and new sessions are refused: no session has been idle for admission.park"
        : "a cap of admission is reached and new sessions take the slots of idle ones: do clients not end their sessions?",
    );
  };
}
