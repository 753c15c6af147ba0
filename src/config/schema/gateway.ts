/** `gateway`: what clients of Envoy may do, and what stands ahead of it. */
import * as z from "zod";
import { envoyListener, host } from "../values/addresses.ts";
import { path } from "../values/paths.ts";
import { wholeNumber } from "../values/quantities.ts";
import { text } from "../values/text.ts";
import { origin } from "../values/urls.ts";

export const gatewaySection = z
  .strictObject({
    listen: envoyListener.prefault("0.0.0.0:8080").describe("Where clients reach Envoy."),
    hosts: z
      .array(host, "expected a list of hosts")
      .min(1, "expected at least one host")
      .optional()
      .describe(
        "Hosts that clients may use: the guard against DNS rebinding. One without a port is taken " +
          "with any port; one with :80 or :443 also without, since clients leave out the default port " +
          "of their scheme. Default: any.",
      ),
    origins: z
      .array(origin, "expected a list of origins")
      .optional()
      .describe("Origins that browsers may call from. Default: the same host only. A request without Origin is fine."),
    tls: z
      .strictObject({
        cert: text("the path of a PEM file").describe("Certificate chain, as a path on Envoy's machine."),
        key: text("the path of a PEM file").describe("Its key, likewise."),
      })
      .optional()
      .describe("TLS for clients; absent = none."),
    trustedHops: wholeNumber(0, 100)
      .default(0)
      .describe(
        "Proxies ahead of Envoy whose `x-forwarded-for`, `-proto` and `-host` are believed, of those that a request comes " +
          "through. 0 = nobody's: a client's own are removed.",
      ),
    health: path
      .optional()
      .describe(
        "Path that Envoy answers itself, by 200 to any Host, for a balancer ahead: `/healthz`. It asks neither the router " +
          "nor a backend. Only exactly this path: not with a slash at its end. Absent = none.",
      ),
  })
  .prefault({});
