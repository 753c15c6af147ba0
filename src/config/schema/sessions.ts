/** `sessions`: how long sessions live. */
import * as z from "zod";
import { duration } from "../values/quantities.ts";

export const sessionsSection = z
  .strictObject({
    idle: duration
      .prefault("30m")
      .describe(
        "A session ends after this long without use. An open event stream is use. At least `timeouts.call` of each backend.",
      ),
    lifetime: duration.prefault("24h").describe("A session ends this long after its initialize, even if it is in use."),
    unused: duration
      .prefault("60s")
      .describe(
        "A session ends this long after its initialize if no other request has used it: its client did not come back. " +
          "A time longer than `idle` has no effect.",
      ),
    sweep: duration
      .prefault("10s")
      .describe(
        "Interval between two searches for expired sessions, whose backends are then told to end them. At most `5m`.",
      ),
  })
  .prefault({});
