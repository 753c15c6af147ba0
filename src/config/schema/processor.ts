/** `processor`: where the external processor listens, and how long Envoy waits for it. */
import * as z from "zod";
import { address, tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { MAX_WORKERS } from "../workers.ts";

export const processorSection = z
  .strictObject({
    listen: address
      .prefault("127.0.0.1:50051")
      .describe("Address on which the processor serves ext_proc (gRPC): `host:port` or `unix:/absolute/path`."),
    http: tcpAddress
      .optional()
      .describe(
        "Address of the HTTP server for health checks, metrics, the catalogue (/catalogue), what is in force " +
          "(/configuration), and for an Envoy that follows this file (`envoy.discovery`). It tells where backends are: keep it private. Default: no such server.",
      ),
    workers: wholeNumber(1, MAX_WORKERS)
      .default(1)
      .describe(
        "Number of worker processes: one for each CPU core to use. More than one needs `store.kind: redis`. Worker n, " +
          "counted from 0, listens on the port of `listen` plus n, or on its socket path with `.n` appended. The option " +
          "`--workers` overrides this.",
      ),
    endpoints: z
      .array(address, "expected a list of addresses")
      .min(1, "expected at least one address")
      .optional()
      .describe(
        "Addresses of the processors that Envoy distributes requests over. Default: the workers of this router.",
      ),
    streams: z
      .strictObject({
        listen: tcpAddress
          .prefault("127.0.0.1:50151")
          .describe(
            "Address on which the processor serves these streams over HTTP/2 in cleartext. Worker n listens on the port plus n.",
          ),
        endpoints: z
          .array(tcpAddress, "expected a list of addresses")
          .min(1, "expected at least one address")
          .optional()
          .describe("Addresses of these streams for Envoy. Default: the workers of this router."),
      })
      .optional()
      .describe(
        "Event streams of the gateway's own, for clients of federated routes with several backends: one stream brings what all " +
          "servers say on their own, and tells of changed lists. Also for clients that `era: bridge` serves at one backend of the " +
          "other era: theirs tells of changed lists and of updates of resources. Only Envoy may reach the address. Default: no such streams; a GET " +
          "on such a route gets 405, and `subscriptions/listen` 404.",
      ),
    messageTimeout: duration
      .prefault("5s")
      .describe(
        "Longest time that Envoy waits for each response of the processor. Envoy's own default, 200 ms, is too short for " +
          "a burst of requests.",
      ),
    drain: duration
      .prefault("30s")
      .describe(
        "Longest time after SIGTERM for requests in progress to finish. The router then aborts those that are left.",
      ),
  })
  .prefault({});
