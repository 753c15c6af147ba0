/** `egress`: the listener of Envoy for the processor's own requests to backends. */
import * as z from "zod";
import { envoyListener, tcpAddress } from "../values/addresses.ts";

export const egressSection = z
  .strictObject({
    listen: envoyListener
      .prefault("127.0.0.1:8081")
      .describe("Envoy's listener for the processor's own calls. Whoever reaches it goes around the processor."),
    address: tcpAddress
      .optional()
      .describe(
        "Where the processor reaches it, a name too: for a processor that is not on Envoy's machine. " +
          "Default: `listen`.",
      ),
  })
  .prefault({});
