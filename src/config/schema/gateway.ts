/** `gateway`: what clients of Envoy may do, and what stands ahead of it. */
import * as z from "zod";
import { envoyListener, host } from "../values/addresses.ts";
import { path } from "../values/paths.ts";
import { wholeNumber } from "../values/quantities.ts";
import { text } from "../values/text.ts";
import { origin } from "../values/urls.ts";

export const gatewaySection = z
  .strictObject({
    listen: envoyListener.prefault("0.0.0.0:8080").describe("Address on which Envoy accepts clients."),
    hosts: z
      .array(host, "expected a list of hosts")
      .min(1, "expected at least one host")
      .optional()
      .describe(
        "Values of `Host` that clients may send: the protection against DNS rebinding. A host without a port matches any " +
          "port. A host with port 80 or 443 also matches without the port, because clients omit the default port of their " +
          "scheme. Default: any host.",
      ),
    origins: z
      .array(origin, "expected a list of origins")
      .optional()
      .describe(
        "Values of `Origin` that browsers may send. A request without `Origin` always passes. Default: only an origin " +
          "with the same host as the request.",
      ),
    tls: z
      .strictObject({
        cert: text("the path of a PEM file").describe("PEM file of the certificate chain: a path on Envoy's machine."),
        key: text("the path of a PEM file").describe("PEM file of the private key: a path on Envoy's machine."),
      })
      .optional()
      .describe("TLS for clients. Default: no TLS."),
    trustedHops: wholeNumber(0, 100)
      .default(0)
      .describe(
        "Number of proxies between clients and Envoy. Envoy trusts what the nearest proxies, as many as this, add to " +
          "`x-forwarded-for`, `-proto` and `-host`. 0: Envoy removes these headers.",
      ),
    health: path
      .optional()
      .describe(
        "Path that Envoy answers with 200 for the health checks of a load balancer, for any `Host`: for example " +
          "`/healthz`. The answer says nothing of the router or the backends. Only this exact path matches, without a " +
          "trailing slash. Default: no such path.",
      ),
  })
  .prefault({});
