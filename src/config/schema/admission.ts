/** `admission`: who may begin a session. */
import * as z from "zod";
import { cap, dependentCap, duration, durationOrOff, wholeNumber } from "../values/quantities.ts";

export const admissionSection = z
  .strictObject({
    sessions: cap(100, 10_000_000).describe("Most sessions at once, over all routers that share a Redis."),
    perPrincipal: cap(10, 10_000_000).describe(
      "Most sessions of one principal at once. Anonymous callers cannot be told apart, so it is not for them.",
    ),
    anonymous: dependentCap(10_000_000).describe(
      "Most sessions of all anonymous callers together, so that they leave room for those with a name. With `identity.kind: " +
        "none` there is nobody else, and it is for nothing. Default: half of `sessions`.",
    ),
    waiting: cap(100, 1_000_000).describe(
      "Most initializes that wait for one backend at once, in each process of a router.",
    ),
    park: durationOrOff
      .prefault("1m")
      .describe(
        "At a cap, the session that was idle longest, and for this long and 3 s more at least, gives its slot to a new " +
          "one; before it those that no request has named since their initialize. Its backend is told to end it, and its client's next request begins " +
          "another one there (`backends.*.onSessionLost`). `off`: none does, and the new one is refused.",
      ),
    wait: durationOrOff
      .prefault("40s")
      .describe(
        "At a cap: longest that an initialize waits for an idle session to be parked, where that is known to be soon enough; " +
          "otherwise it is refused at once. As many wait at once as `waiting` says. At most `40s`, since Envoy gives a request " +
          "up that is undecided for 45 s. `off`: none waits.",
      ),
    retryAfter: duration
      .prefault("30s")
      .describe("Longest that a refused client is told to wait: less where a slot will be free sooner."),
    guard: z
      .strictObject({
        perSecond: wholeNumber(1, 1_000_000).describe(
          "Such POSTs a second, in each Envoy, whatever its number of workers.",
        ),
        burst: wholeNumber(1, 1_000_000).describe("Most of them at once, after a pause."),
      })
      .optional()
      .describe(
        "Bounds POSTs that open something, in Envoy and ahead of tokens: those that carry neither " +
          "mcp-session-id nor, as modern ones do, mcp-method. The rest get 503. Calls of legacy clients " +
          "to a backend without sessions look the same, so they count. Who adds such a header passes " +
          "the guard, and meets the caps. Absent = no bound (it takes no `off`).",
      ),
  })
  .prefault({})
  .describe("Who may begin a session. `off` switches a cap off; 0 means its default. What lives is never refused.");
