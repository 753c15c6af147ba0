/** `envoy`: what one Envoy may take up, and where its admin listener is. */
import * as z from "zod";
import { envoyListener, tcpAddress } from "../values/addresses.ts";
import { byteSize, duration, wholeNumber } from "../values/quantities.ts";

export const envoySection = z
  .strictObject({
    admin: envoyListener.optional().describe("Address of Envoy's admin listener. Default: no admin listener."),
    heap: byteSize("1024GiB")
      .prefault("768MiB")
      .describe(
        "Memory that Envoy may allocate. Near this limit, Envoy first resets the streams that hold the most memory, then " +
          "answers 503. Leave a quarter of the memory of the machine or the container above it.",
      ),
    buffer: byteSize("1GiB")
      .prefault("64KiB")
      .describe(
        "Bytes that Envoy buffers for one connection in each direction before it stops reading. In Envoy 1.36 this also " +
          "limits request bodies: set it to `limits.body` there.",
      ),
    connections: wholeNumber(1, 10_000_000)
      .default(10_000)
      .describe("Maximum number of client connections to each Envoy. Envoy closes further connections at once."),
    streams: wholeNumber(1, 10_000)
      .default(128)
      .describe(
        "Maximum number of concurrent requests on one HTTP/2 connection of a client, including open event streams.",
      ),
    requests: wholeNumber(1, 10_000_000)
      .default(5_000)
      .describe(
        "Maximum number of requests in each Envoy that still wait for their body or for the head of their answer. Each " +
          "costs the router 20 to 100 KiB. Further requests get 503.",
      ),
    discovery: z
      .strictObject({
        endpoints: z
          .array(tcpAddress, "expected a list of addresses")
          .min(1, "expected at least one address")
          .optional()
          .describe("Addresses of `processor.http` for Envoy. Default: that of this router, on the same machine."),
        every: duration
          .prefault("200ms")
          .describe(
            "How long after an answer Envoy asks again; Envoy makes it up to twice as long. A change is in force when Envoy has asked for " +
              "each kind of resource twice, at each of several routers.",
          ),
      })
      .prefault({})
      .describe(
        "For an Envoy that follows this file without a restart (`mcp-router envoy --live`): it asks the router for its listeners, " +
          "routes and clusters. It needs `processor.http`.",
      ),
  })
  .prefault({});
