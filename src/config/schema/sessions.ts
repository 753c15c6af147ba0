/** `sessions`: how long sessions live. */
import * as z from "zod";
import { duration } from "../values/quantities.ts";

export const sessionsSection = z
  .strictObject({
    idle: duration
      .prefault("30m")
      .describe(
        "A session ends when nothing used it for this long. At least `timeouts.call` and `timeouts.listen` of each backend.",
      ),
    lifetime: duration.prefault("24h").describe("A session ends this long after its initialize, used or not."),
    unused: duration
      .prefault("60s")
      .describe(
        "A session ends this long after its initialize when no request has named it since: its client never came back. At " +
          "most `idle`.",
      ),
    sweep: duration
      .prefault("10s")
      .describe("How often expired sessions are looked for, to tell their backends. At most `5m`."),
  })
  .prefault({});
