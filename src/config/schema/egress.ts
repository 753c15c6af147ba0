/** `egress`: the listener of Envoy for the processor's own requests to backends. */
import * as z from "zod";
import { envoyListener, tcpAddress } from "../values/addresses.ts";

export const egressSection = z
  .strictObject({
    listen: envoyListener
      .prefault("127.0.0.1:8081")
      .describe(
        "Address of the Envoy listener that the processor sends its own requests through. Clients must not reach it, " +
          "because its requests bypass the processor.",
      ),
    address: tcpAddress
      .optional()
      .describe(
        "Address at which the processor reaches that listener, if the processor runs on another machine; may be a DNS " +
          "name. Default: `listen`.",
      ),
  })
  .prefault({});
