/** Whether an answer means that a backend has lost the session that the request was sent into. Pure. */
import { asksForLogin, type Said } from "../backends/said.ts";
import { UF, UH } from "../core/response-flags.ts";

/**
 * What an answer's head tells of the session.
 * - `unreachable`: its endpoint takes no connections, or there is none: the request was not sent.
 * - `probe`: servers give this status for a session that they do not know, and for other things too: a ping must show
 *   whether the backend knows the session.
 * - `probe-and-log-in`: the same for a status that asks for a login (401, 403). Where the client's credentials begin no session
 *   either, the login is the client's matter.
 */
export type Suspicion = "unreachable" | "probe" | "probe-and-log-in";

/** Whether a status is seldom about the session. A session that was found alive after it is not probed again at once. */
export function isSeldomLoss(status: number): boolean {
  return asksForLogin(status) || status === 503;
}

/**
 * @param flags Envoy's response flags; 0 where the backend answered
 * @param endpoint `ip:port` that answered; undefined where Envoy or one of its filters did
 */
export function suspect(
  status: string | undefined,
  flags: number,
  endpoint: string | undefined,
): Suspicion | undefined {
  if ((flags & (UH | UF)) !== 0) return "unreachable";
  if (endpoint === undefined || (status === "503" && flags !== 0)) return undefined;
  switch (status) {
    case "404":
    case "410":
    case "400":
    case "503":
      return "probe";
    case "401":
    case "403":
      return "probe-and-log-in";
    default:
      return undefined;
  }
}

/**
 * Whether a session is lost, by what its ping was answered.
 * @param status of the answer that raised the suspicion
 * @param ping status of the answer to the ping
 */
export function isLost(status: number, ping: number, said: Said): boolean {
  switch (said) {
    case "lost":
      return true;
    case "refused":
      // The ping is answered alike. The next initialize shows whether the credentials are good.
      return ping === status;
    case "away":
      // A backend that was about to stop may have refused the request by one of these statuses.
      return !isSeldomLoss(status);
    case "alive":
    case "unclear":
      return false;
    default:
      return said satisfies never;
  }
}
