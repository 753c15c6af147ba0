/** `log`: what the router logs. */
import * as z from "zod";

export const logSection = z
  .strictObject({
    level: z
      .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
      .default("info")
      .describe("Lowest level that is logged. The environment variable LOG_LEVEL overrides this."),
  })
  .prefault({});
