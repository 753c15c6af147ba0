/** `lists`: how the router asks the backends of federated routes what they offer. */
import * as z from "zod";
import { byteSize, duration, wholeNumber } from "../values/quantities.ts";

export const listsSection = z
  .strictObject({
    refresh: duration
      .prefault("60s")
      .describe(
        "Age of a list after which the router asks the backend again, if clients still use the route. The router asks at once if " +
          "the backend sends a `list_changed`.",
      ),
    stale: duration
      .prefault("10m")
      .describe(
        "How long clients get the last lists of a backend that no longer answers. After that, its items are left out. At least " +
          "`refresh`.",
      ),
    timeout: duration
      .prefault("5s")
      .describe(
        "Longest time for a backend to answer with all its lists. A backend that takes longer is left out until it answers. A " +
          "client waits for this only if the router does not know the backend yet. At most `30s`.",
      ),
    pages: wholeNumber(1, 10_000)
      .default(100)
      .describe("Maximum number of pages of one list of a backend. The rest is left out."),
    bytes: byteSize("256MiB")
      .prefault("8MiB")
      .describe("Maximum size of one list of a backend, all pages together. The rest is left out."),
    page: byteSize("64MiB")
      .prefault("1MiB")
      .describe("Size of the items on one page of a list that a client gets. A larger item has a page of its own."),
  })
  .prefault({})
  .describe(
    "How the router asks the backends of federated routes, and of those with `era: bridge`, for their tools, prompts and resources. Nothing else uses these settings.",
  );
