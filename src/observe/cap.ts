/** What is logged when sessions are at a cap. */
import type { Logger } from "../telemetry/log.ts";
import { seldomCounted } from "../telemetry/seldom.ts";

/** Warns, at most once a minute, that sessions are at a cap. `slot`: what became of the initialize. */
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
        ? "sessions are at admission.sessions, and new ones are refused: none of the others is idle for admission.park"
        : "sessions are at a cap of admission, and new ones take the slots of idle ones: do clients not end their sessions?",
    );
  };
}
