/** `timeouts.tools`: how long calls of certain tools may take. */
import * as z from "zod";
import { duration } from "../values/quantities.ts";
import { glob } from "../values/text.ts";

export const toolTimeouts = z
  .array(
    z.strictObject({
      tools: z
        .array(glob, "expected a list of names of tools")
        .min(1, "expected at least one name of a tool")
        .describe("Names of tools as clients see them, in which `*` stands for any text: `files__index*`."),
      call: duration.describe("Longest time for a call of such a tool, in place of the backend's `timeouts.call`."),
    }),
    "expected a list of tools and their times",
  )
  .max(20, "expected at most 20 entries")
  .default([])
  .describe(
    "Tools whose calls may take longer, or less long, than others. The first entry that has a tool counts. A batch has the longest " +
      "time of its tools if each of its messages calls such a tool, and otherwise `timeouts.call`. Default: none.",
  );
