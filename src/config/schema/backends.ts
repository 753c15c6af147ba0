/** `backends` and `timeouts`: the MCP servers, and how long requests to them may take. */
import { isIP } from "node:net";
import * as z from "zod";
import { addFault } from "../fault.ts";
import { tcpAddress } from "../values/addresses.ts";
import { backendPath } from "../values/paths.ts";
import { duration, offOnly } from "../values/quantities.ts";
import { glob, headerName, text } from "../values/text.ts";
import { backendUrl } from "../values/urls.ts";
import { credentials } from "./credentials.ts";
import { toolTimeouts } from "./tool-timeouts.ts";

/**
 * Names become Envoy cluster names, header values, and what names of tools begin with on federated routes, followed by `__`. No name
 * has an underscore, so no such prefix begins with another.
 */
const name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "expected a name of lower-case letters, digits and inner hyphens, at most 63",
  );

const tlsToBackend = z.strictObject({
  sni: text("a server name").describe(
    "Server name (SNI) that Envoy sends, and that the backend's certificate must have.",
  ),
  ca: text("the path of a PEM file")
    .optional()
    .describe(
      "PEM file of the certificate authorities that Envoy trusts: a path on Envoy's machine. Default: the system's.",
    ),
});

const timeouts = z.strictObject({
  call: duration.prefault("10m").describe("Longest time for a POST and its complete answer, also as an event stream."),
  listen: duration
    .prefault("24h")
    .describe(
      "Longest time that a GET stream, or a modern `subscriptions/listen`, stays open. A `subscriptions/listen` of `processor.streams` ends a second before, with the response of the protocol.",
    ),
  connect: duration.prefault("5s").describe("Longest time for Envoy to connect to a backend, including TLS."),
  initialize: duration.prefault("10s").describe("Longest time for the recovery of a lost session."),
  tools: toolTimeouts,
});

const DEFAULT_PATH = "/mcp";

const settings = z.strictObject({
  url: backendUrl
    .optional()
    .describe(
      "URL of a backend with one endpoint, as MCP clients have it. It stands for `endpoints` and `path`, and for `host` and `tls` " +
        "where these are not written. A backend that needs no other setting may be written as its URL alone: " +
        "`files: http://127.0.0.1:3001/mcp`.",
    ),
  endpoints: z
    .array(tcpAddress, "expected a list of endpoints")
    .min(1, "expected at least one endpoint")
    .optional()
    .describe("Addresses of the backend: `ip:port`, or `name:port`, which Envoy resolves. Required without `url`."),
  path: backendPath
    .optional()
    .describe(
      `Path of the MCP endpoint at the backend. It is sent exactly as written. Default: that of \`url\`, or \`${DEFAULT_PATH}\`.`,
    ),
  host: text("a host name")
    .optional()
    .describe("`Host` header for the backend. Default: that of `url`, or the endpoint's address."),
  tls: tlsToBackend.optional().describe("TLS to the backend. Default: as `url` says, or no TLS."),
  credentials: credentials.optional(),
  origin: z
    .enum(["remove", "forward"])
    .default("remove")
    .describe(
      "What happens to a client's `Origin` after the gateway has checked it (`gateway.origins`). `remove`: the backend " +
        "does not get it; a server that compares `Origin` with its own `Host` would refuse it. `forward`: the backend " +
        "gets it.",
    ),
  timeouts: z
    .strictObject({
      call: duration.optional().describe("As `timeouts.call`, for this backend."),
      listen: duration.optional().describe("As `timeouts.listen`, for this backend."),
      connect: duration.optional().describe("As `timeouts.connect`, for this backend."),
      initialize: duration.optional().describe("As `timeouts.initialize`, for this backend."),
    })
    .default({})
    .describe("Timeouts of this backend that differ from the top-level `timeouts`."),
  onSessionLost: z
    .enum(["recover", "surface"])
    .default("recover")
    .describe(
      "What happens when the backend has lost a session. `recover`: the router starts a new session at the backend and " +
        "sends the request again; the client notices nothing. `surface`: the client gets the backend's own answer.",
    ),
  affinity: z
    .union(
      [
        z.literal("principal").describe("The principal of `identity`."),
        z.strictObject({
          header: headerName.describe("Name of a header that clients send, as `x-tenant`."),
        }),
      ],
      "expected principal, or { header: x-tenant } with the name of a header",
    )
    .optional()
    .describe(
      "What keeps requests without a session at the backend on one endpoint, by a consistent hash: for servers of 2026-07-28 " +
        "that keep state all the same. `principal`: the principal of `identity`. `{ header: x-tenant }`: the value of a header " +
        "that clients send. Requests without it are spread. Default: all are spread.",
    ),
  prefix: offOnly((written) =>
    typeof written === "string" ? "the prefix is always the backend's name, with two underscores" : undefined,
  )
    .optional()
    .describe(
      "On federated routes, the names of tools and prompts begin with the backend's name and two underscores: " +
        "`files__read`. `off`: they are the backend's own. Of two equal names of a route, clients get the one whose backend " +
        "stands first.",
    ),
  uris: z
    .array(glob, "expected a list of URIs")
    .optional()
    .describe(
      "On federated routes: resources that belong to this backend although it does not list them. Full URIs, in which `*` " +
        "stands for any text: `file:///data/*`. Default: none.",
    ),
  lists: z
    .enum(["shared", "principal"])
    .optional()
    .describe(
      "On federated routes, and on those with `era: bridge`: whose lists of tools, prompts and resources clients get. `shared`: the router asks for them in a " +
        "session of its own, once for all clients. `principal`: they depend on who asks, so the router asks in a client's " +
        "session, with its credentials, and offers the lists to its principal alone. Take this also for a server that lists " +
        "some of its tools only for clients that can be asked (sampling, elicitation, roots): the router's own session cannot. Default: `shared`; " +
        "`principal` where `credentials` is `forward` or `exchange`, since the router has no token of its own.",
    ),
});

type Settings = z.output<typeof settings>;

/** Where the backend is. */
type Place = Pick<Settings, "host" | "tls"> & {
  readonly endpoints: NonNullable<Settings["endpoints"]>;
  readonly path: string;
};

/** Where `url`, or what stands in its place, says that the backend is. Adds what is wrong with them. */
function placeOf(settings: Settings, context: z.RefinementCtx): Place {
  const { url, endpoints = [], path = DEFAULT_PATH, host, tls } = settings;
  if (!url) {
    if (!settings.endpoints)
      addFault(context, ["endpoints"], "missing, expected a list of endpoints, or url in its place");
    return { endpoints, path, host, tls };
  }
  for (const said of ["endpoints", "path"] as const)
    if (settings[said]) addFault(context, [said], "url says it already; remove one of the two");
  if (tls && !url.tls) addFault(context, ["tls"], "url begins with http://; write https://, or remove tls");
  const isName = isIP(url.endpoint.host) === 0;
  if (url.tls && !tls && !isName)
    addFault(
      context,
      ["url"],
      "TLS to an IP address needs the name that its certificate has; write tls: { sni: NAME } as well",
    );
  const named = url.tls ? { sni: url.endpoint.host } : undefined;
  return { endpoints: [url.endpoint], path: url.path, host: host ?? url.host, tls: tls ?? named };
}

const backend = settings.transform((settings, context) => ({ ...settings, ...placeOf(settings, context) }));

/** A backend that is written as its URL alone, as settings. */
export function backendSettings(written: unknown): unknown {
  return typeof written === "string" ? { url: written } : written;
}

export const timeoutsSection = timeouts.prefault({});

export const backendsSection = z
  .record(name, backend, "expected the backends, each by its name")
  .refine((all) => Object.keys(all).length > 0, "expected at least one backend")
  .describe(
    "MCP servers by name: lower-case letters, digits and inner hyphens, at most 63. Each backend becomes an Envoy " +
      "cluster of one or more endpoints.",
  );
