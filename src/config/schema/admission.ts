/** `admission`: who may begin a session. */
import * as z from "zod";
import { cap, dependentCap, duration, durationOrOff, wholeNumber } from "../values/quantities.ts";

export const admissionSection = z
  .strictObject({
    sessions: cap(100, 10_000_000).describe(
      "Maximum number of sessions, in total over all routers that share a Redis.",
    ),
    perPrincipal: cap(10, 10_000_000).describe(
      "Maximum number of sessions of one principal. It does not apply to anonymous callers, who cannot be told apart.",
    ),
    anonymous: dependentCap(10_000_000).describe(
      "Maximum number of sessions of all anonymous callers together, so that they leave room for authenticated callers. " +
        "Has no effect with `identity.kind: none`. Default: half of `sessions`.",
    ),
    waiting: cap(100, 1_000_000).describe(
      "Maximum number of initializes that wait for one backend at the same time, in each worker process.",
    ),
    park: durationOrOff
      .prefault("1m")
      .describe(
        "When a cap is reached, the session that has been idle longest is parked, and a new session takes its slot. " +
          "Sessions that no request has used since their initialize are parked first; any other must have been idle for " +
          "this time plus 3 s. The backend is told to end a parked session; the client's next request starts another one " +
          "there (`backends.*.onSessionLost`). `off`: no session is parked, and the new one is refused.",
      ),
    wait: durationOrOff
      .prefault("40s")
      .describe(
        "When a cap is reached: longest time that an initialize waits for a session to be parked. It waits only if a " +
          "session is due to be parked within that time, otherwise it is refused at once. At most `waiting` initializes " +
          "wait at the same time. At most `40s`, because Envoy ends an undecided request after 45 s. `off`: none waits.",
      ),
    retryAfter: duration
      .prefault("30s")
      .describe(
        "Longest time in the `Retry-After` of a refused initialize. Shorter if a slot becomes free sooner. " +
          "A refused `subscriptions/listen` always has this time.",
      ),
    guard: z
      .strictObject({
        perSecond: wholeNumber(1, 1_000_000).describe(
          "Number of such POSTs per second, in each Envoy, however many workers it has.",
        ),
        burst: wholeNumber(1, 1_000_000).describe("Number of such POSTs that may arrive at once after a pause."),
      })
      .optional()
      .describe(
        "A rate limit in Envoy for POSTs that may start a session, applied before tokens are checked: POSTs that have " +
          "neither `mcp-session-id` nor `mcp-method`, which modern clients send. Excess POSTs get 503. Calls of legacy " +
          "clients to a backend without sessions look the same and count too. A client that adds one of these headers " +
          "bypasses this limit, but not the caps. Default: no limit (`off` is not a value here).",
      ),
  })
  .prefault({})
  .describe(
    "Limits on new sessions. `off` removes a limit. In place of a number, 0 means the default. Existing sessions are never refused. " +
      "`sessions`, `perPrincipal` and `anonymous` also limit the open `subscriptions/listen` streams of `processor.streams`. These " +
      "are counted apart from sessions, and in each worker process by itself.",
  );
