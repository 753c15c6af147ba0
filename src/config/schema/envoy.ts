/** `envoy`: what one Envoy may take up, and where its admin listener is. */
import * as z from "zod";
import { envoyListener } from "../values/addresses.ts";
import { byteSize, wholeNumber } from "../values/quantities.ts";

export const envoySection = z
  .strictObject({
    admin: envoyListener.optional().describe("Envoy's admin listener; absent = none."),
    heap: byteSize("1024GiB")
      .prefault("768MiB")
      .describe(
        "Memory that Envoy may allocate. Near it Envoy resets the streams that hold most, then answers 503. Leave a quarter of the " +
          "machine's, or of the container's limit, above it.",
      ),
    buffer: byteSize("1GiB")
      .prefault("64KiB")
      .describe(
        "Bytes that one connection may hold in each direction before Envoy stops reading. Bodies are bound by `limits.body`; in Envoy " +
          "1.36 by this too, so there let it be as much.",
      ),
    connections: wholeNumber(1, 10_000_000)
      .default(10_000)
      .describe("Most connections of clients at once, in each Envoy; one beyond it is closed at once."),
    streams: wholeNumber(1, 10_000)
      .default(128)
      .describe("Most requests at once on one HTTP/2 connection of a client, open event streams too."),
    requests: wholeNumber(1, 10_000_000)
      .default(5_000)
      .describe(
        "Most requests at once in each Envoy of which the body or the head of the answer has not come. Each costs the router 20 to " +
          "100 KiB. One beyond it gets 503.",
      ),
  })
  .prefault({});
