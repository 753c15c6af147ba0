/** `backends` and `timeouts`: the MCP servers, and how long requests to them may take. */
import * as z from "zod";
import { tcpAddress } from "../values/addresses.ts";
import { backendPath } from "../values/paths.ts";
import { duration } from "../values/quantities.ts";
import { text } from "../values/text.ts";

/** Names become Envoy cluster names, header values and (in federation) tool prefixes, where `__` separates. */
const name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "expected a name of lower-case letters, digits and inner hyphens, at most 63",
  );

const tlsToBackend = z.strictObject({
  sni: text("a server name").describe("Server name sent and verified."),
  ca: text("the path of a PEM file")
    .optional()
    .describe("PEM file of the authorities that Envoy trusts, as a path on Envoy's machine. Default: the system's."),
});

const timeouts = z.strictObject({
  call: duration.prefault("10m").describe("Longest a POST and its answer (also as SSE) may take."),
  listen: duration.prefault("30m").describe("Longest a GET stream, or a modern `subscriptions/listen`, stays open."),
  connect: duration.prefault("5s").describe("Longest Envoy waits for a TCP (and TLS) connection to a backend."),
  initialize: duration.prefault("10s").describe("Longest that the recovery of a lost session may take."),
});

const backend = z.strictObject({
  endpoints: z
    .array(tcpAddress, "expected a list of endpoints")
    .min(1, "expected at least one endpoint")
    .describe("`ip:port`, or `name:port` that Envoy resolves."),
  path: backendPath.default("/mcp").describe("Path of the MCP endpoint at the backend, sent as it is written."),
  host: text("a host name")
    .optional()
    .describe("`Host` that the backend is sent. Default: the endpoint's own address."),
  tls: tlsToBackend.optional().describe("TLS to the backend; absent = none."),
  origin: z
    .enum(["remove", "forward"])
    .default("remove")
    .describe(
      "What becomes of a client's `Origin`, which the gateway has checked (`gateway.origins`): `remove`, since a server that checks " +
        "it too compares it with its own `Host`; or `forward`, for one that wants to see it.",
    ),
  timeouts: z
    .strictObject({
      call: duration.optional().describe("As `timeouts.call`."),
      listen: duration.optional().describe("As `timeouts.listen`."),
      connect: duration.optional().describe("As `timeouts.connect`."),
      initialize: duration.optional().describe("As `timeouts.initialize`."),
    })
    .default({})
    .describe("Only where they differ from the top-level `timeouts`."),
  onSessionLost: z
    .enum(["recover", "surface"])
    .default("recover")
    .describe(
      "When a backend has lost a session: begin another one there, send the request again, and let " +
        "the client know nothing; or `surface` the backend's own answer.",
    ),
});

export const timeoutsSection = timeouts.prefault({});

export const backendsSection = z
  .record(name, backend, "expected the backends, each by its name")
  .refine((all) => Object.keys(all).length > 0, "expected at least one backend")
  .describe(
    "MCP servers by name: lower-case letters, digits and inner hyphens, at most 63. Each is a cluster of Envoy, of one or " +
      "more endpoints.",
  );
