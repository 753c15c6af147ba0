/** `routes[].tools.pin` and what goes with it: definitions of tools that an operator has accepted. */
import * as z from "zod";
import { text } from "../values/text.ts";

export const pinSettings = {
  pin: text("the path of a file")
    .optional()
    .describe(
      "File with a digest of each tool that you have accepted. A tool whose definition becomes another, or that is new, is hidden " +
        "until you accept it: see [Pinned tools](#pinned-tools). `mcp-router pin` writes the file. A relative path starts in the " +
        "router's working directory. Default: tools are offered whatever they become.",
    ),
  onChange: z
    .enum(["hide", "warn"])
    .optional()
    .describe(
      "What becomes of a tool that you have not accepted as it is, where `pin` is set. `hide`: clients neither see nor call it. " +
        "`warn`: they do; log, metric and `check --live` tell of it. Default: `hide`.",
    ),
};
