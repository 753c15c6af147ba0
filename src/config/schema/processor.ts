/** `processor`: where the external processor listens, and how long Envoy waits for it. */
import * as z from "zod";
import { address, tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { MAX_WORKERS } from "../workers.ts";

export const processorSection = z
  .strictObject({
    listen: address
      .prefault("127.0.0.1:50051")
      .describe("Where the processor serves ext_proc (gRPC): `host:port` or `unix:/absolute/path`."),
    http: tcpAddress.optional().describe("Health and metrics over HTTP; absent = none."),
    workers: wholeNumber(1, MAX_WORKERS)
      .default(1)
      .describe(
        "Processes to run, one for each core to use; they share a Redis. Worker n, from 0, listens n " +
          "ports above `listen`, or on its socket with `.n` added. `--workers` overrides it.",
      ),
    endpoints: z
      .array(address, "expected a list of addresses")
      .min(1, "expected at least one address")
      .optional()
      .describe("The processors that Envoy spreads requests over. Default: the workers of this router."),
    messageTimeout: duration
      .prefault("5s")
      .describe(
        "How long Envoy waits for one answer of the processor. 200 ms, Envoy's default, is too short " + "for a burst.",
      ),
    drain: duration
      .prefault("30s")
      .describe("After SIGTERM: how long requests under way may take before they are cut."),
  })
  .prefault({});
