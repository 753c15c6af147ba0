/**
 * The shape of `mcp-router.yaml`: the one source from which the processor and Envoy are configured.
 * Every setting, its unit and its default are defined here and nowhere else.
 */
import * as z from "zod";
import { envoySection } from "./envoy-section.ts";
import {
  address,
  backendPath,
  byteSize,
  cap,
  dependentCap,
  duration,
  durationOrOff,
  envoyListener,
  host,
  origin,
  path,
  redisUrl,
  tcpAddress,
  text,
  webUrl,
  wholeNumber,
} from "./values.ts";
import { MAX_WORKERS } from "./workers.ts";

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

const route = z.strictObject({
  path: path.describe(
    "Public path. A request's path is compared with it after Envoy's normalization, where slashes in a row are one and one at the " +
      "end makes no difference: `/mcp/` is `/mcp`.",
  ),
  backends: z
    .array(text("the name of a backend"), "expected a list of the names of backends")
    .min(1, "expected at least one backend")
    .describe("Where its requests go: one backend, until federated routes are built."),
  sessions: z
    .enum(["optional", "required"])
    .default("optional")
    .describe(
      "`required`: a legacy message without a session (other than `initialize`) is refused instead of forwarded.",
    ),
});

const nodes = z.array(tcpAddress, "expected a list of addresses").min(1, "expected at least one address");

const redis = z.strictObject({
  kind: z
    .literal("redis")
    .describe("Redis 6.2 or later, or Valkey: one of `url`, `sentinel` and `cluster` says where. Routers share it."),
  url: redisUrl
    .optional()
    .describe("`redis://host:6379`, or `rediss://` for TLS. May hold user, password and number of the database."),
  sentinel: z
    .strictObject({
      master: text("the name of the master").describe("As the Sentinels know it."),
      nodes: nodes.describe("Addresses of the Sentinels."),
    })
    .optional()
    .describe("A Redis whose master Sentinels choose."),
  cluster: z
    .strictObject({ nodes: nodes.describe("Addresses of some of its nodes; they tell the others.") })
    .optional()
    .describe("A Redis Cluster."),
  prefix: z
    .string("expected a text")
    .regex(/^[\w.-]{1,32}$/, "expected up to 32 letters, digits, dots, hyphens, underscores")
    .meta({ title: "up to 32 letters, digits, dots, hyphens, underscores" })
    .default("mcpr")
    .describe("How every key begins."),
  username: text("the name of an ACL user").optional().describe("Default: Redis's own default user."),
  passwordFile: text("the path of a file")
    .optional()
    .describe("A file with the password and nothing else. A path that is not absolute begins where the router runs."),
  database: wholeNumber(0, 1_000).default(0).describe("Number of the database; a cluster has only 0."),
  timeout: duration
    .prefault("500ms")
    .describe(
      "Longest that a command may take. A session's request waits for one. At most a third of `processor.messageTimeout`.",
    ),
  patience: duration
    .optional()
    .describe(
      "A request in a session waits for a Redis that has been away for less than this; a longer absence refuses at once. With three " +
        "times `timeout`, at most `processor.messageTimeout`. Default: 3s, or what that leaves.",
    ),
  tls: z
    .strictObject({
      ca: text("the path of a PEM file").optional().describe("Authorities to trust. Default: those of Node.js."),
      cert: text("the path of a PEM file").optional().describe("Certificate of the router's own."),
      key: text("the path of a PEM file").optional().describe("Its key."),
      serverName: text("a host name").optional().describe("Name to verify. Default: the host that is connected to."),
    })
    .optional()
    .describe("TLS, which `rediss://` switches on too. Paths are on the router's machine."),
});

const required = z.boolean("expected true or false").default(true);

const identity = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("none").describe("Everybody is anonymous: whoever has a session's id can use it."),
  }),
  z.strictObject({
    kind: z.literal("jwt").describe("A bearer token, which Envoy checks before the router is asked."),
    issuer: text("the issuer of the tokens").describe("`iss` of the tokens, as they have it."),
    audiences: z
      .array(text("an audience"), "expected a list of audiences")
      .min(1, "expected at least one audience")
      .describe("A token must be for one of these."),
    jwks: z
      .strictObject({
        file: text("the path of a JSON Web Key Set")
          .optional()
          .describe("JSON Web Key Set (RFC 7517), as a path on Envoy's machine."),
        uri: webUrl.optional().describe("Where Envoy fetches it from instead."),
        ca: text("the path of a PEM file")
          .optional()
          .describe(
            "Of `uri`: PEM file of the authorities that Envoy trusts, as a path on its machine. Default: " +
              "the system's.",
          ),
        refresh: duration
          .prefault("10m")
          .describe(
            "Of `uri`: how long Envoy uses a set before it fetches it again. New keys of the issuer are " +
              "known after it.",
          ),
      })
      .describe("The keys that tokens are signed by: one of `file` and `uri`."),
    required: required.describe("Whether a request without a token is refused."),
  }),
  z.strictObject({
    kind: z.literal("header").describe("A header that whoever is ahead of the router sets."),
    name: z
      .string("expected the name of a header")
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/i, "expected the name of a header: letters, digits and hyphens, at most 63")
      .toLowerCase()
      .meta({ title: "the name of a header" })
      .describe(
        "Its name. What is ahead of the router must take it away where a client sends it. `forwarded`, `x-real-ip` and `x-forwarded-…` " +
          "want `gateway.trustedHops`, without which Envoy removes them.",
      ),
    required: required.describe("Whether a request without it is refused."),
  }),
]);

const istio = z.strictObject({
  namespace: z
    .string("expected the name of a namespace")
    .regex(
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
      "expected lower-case letters, digits and inner hyphens, at most 63",
    )
    .meta({ title: "the name of a namespace" })
    .describe("Namespace of those objects, and of the pods that they are for."),
  selector: z
    .record(z.string(), z.string("expected the value of a label"), "expected labels, each with its value")
    .refine((labels) => Object.keys(labels).length > 0, "expected at least one label")
    .meta({ title: "labels, each with its value" })
    .describe("Labels of those pods: the gateway's, or in mode `sidecar` the backend's."),
  credentialName: text("the name of a secret")
    .optional()
    .describe("Kubernetes secret with the certificate for clients, in place of the files of `gateway.tls`."),
  router: z
    .string("expected a service account")
    .regex(/^[a-z0-9-]+\/[a-z0-9.-]+$/, 'expected a service account such as "mcp/mcp-router": namespace/name')
    .meta({ title: 'a service account such as "mcp/mcp-router"' })
    .optional()
    .describe(
      "The router's service account, by whose certificate alone the egress port may then be called. The router needs a " +
        "sidecar for that. Absent = a NetworkPolicy must see to it.",
    ),
});

const schema = z.strictObject({
  gateway: z
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
        .describe(
          "Origins that browsers may call from. Default: the same host only. A request without Origin is fine.",
        ),
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
    .prefault({}),
  egress: z
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
    .prefault({}),
  processor: z
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
          "How long Envoy waits for one answer of the processor. 200 ms, Envoy's default, is too short " +
            "for a burst.",
        ),
      drain: duration
        .prefault("30s")
        .describe("After SIGTERM: how long requests under way may take before they are cut."),
    })
    .prefault({}),
  envoy: envoySection,
  store: z
    .discriminatedUnion("kind", [
      z.strictObject({
        kind: z.literal("memory").describe("Sessions end with the router, and no other router knows them."),
      }),
      redis,
    ])
    .prefault({ kind: "memory" })
    .describe("Where sessions are kept."),
  sessions: z
    .strictObject({
      idle: duration
        .prefault("30m")
        .describe(
          "A session ends when nothing used it for this long. At least `timeouts.call` and `timeouts.listen` of each backend.",
        ),
      lifetime: duration.prefault("24h").describe("A session ends this long after its initialize, used or not."),
      unused: duration
        .prefault("60s")
        .describe(
          "A session ends this long after its initialize when no request has named it since: its client never came back. At " +
            "most `idle`.",
        ),
      sweep: duration
        .prefault("10s")
        .describe("How often expired sessions are looked for, to tell their backends. At most `5m`."),
    })
    .prefault({}),
  admission: z
    .strictObject({
      sessions: cap(100, 10_000_000).describe("Most sessions at once, over all routers that share a Redis."),
      perPrincipal: cap(10, 10_000_000).describe(
        "Most sessions of one principal at once. Anonymous callers cannot be told apart, so it is not for them.",
      ),
      anonymous: dependentCap(10_000_000).describe(
        "Most sessions of all anonymous callers together, so that they leave room for those with a name. With `identity.kind: " +
          "none` there is nobody else, and it is for nothing. Default: half of `sessions`.",
      ),
      waiting: cap(100, 1_000_000).describe(
        "Most initializes that wait for one backend at once, in each process of a router.",
      ),
      park: durationOrOff
        .prefault("1m")
        .describe(
          "At a cap, the session that was idle longest, and for this long and 3 s more at least, gives its slot to a new " +
            "one; before it those that no request has named since their initialize. Its backend is told to end it, and its client's next request begins " +
            "another one there (`backends.*.onSessionLost`). `off`: none does, and the new one is refused.",
        ),
      wait: durationOrOff
        .prefault("40s")
        .describe(
          "At a cap: longest that an initialize waits for an idle session to be parked, where that is known to be soon enough; " +
            "otherwise it is refused at once. As many wait at once as `waiting` says. At most `40s`, since Envoy gives a request " +
            "up that is undecided for 45 s. `off`: none waits.",
        ),
      retryAfter: duration
        .prefault("30s")
        .describe("Longest that a refused client is told to wait: less where a slot will be free sooner."),
      guard: z
        .strictObject({
          perSecond: wholeNumber(1, 1_000_000).describe(
            "Such POSTs a second, in each Envoy, whatever its number of workers.",
          ),
          burst: wholeNumber(1, 1_000_000).describe("Most of them at once, after a pause."),
        })
        .optional()
        .describe(
          "Bounds POSTs that open something, in Envoy and ahead of tokens: those that carry neither " +
            "mcp-session-id nor, as modern ones do, mcp-method. The rest get 503. Calls of legacy clients " +
            "to a backend without sessions look the same, so they count. Who adds such a header passes " +
            "the guard, and meets the caps. Absent = no bound (it takes no `off`).",
        ),
    })
    .prefault({})
    .describe("Who may begin a session. `off` switches a cap off; 0 means its default. What lives is never refused."),
  identity: identity
    .prefault({ kind: "none" })
    .describe("How the principal of a request is known, to whom its session then belongs."),
  istio: istio
    .optional()
    .describe("The objects that `mcp-router istio` makes; nothing else reads it. See [Istio](istio.md)."),
  log: z
    .strictObject({
      level: z
        .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
        .default("info")
        .describe("Overridden by the environment variable LOG_LEVEL."),
    })
    .prefault({}),
  timeouts: timeouts.prefault({}),
  limits: z
    .strictObject({
      body: byteSize("1GiB").prefault("4MiB").describe("Largest request body, in bytes."),
      batch: wholeNumber(1, 10_000).default(100).describe("Most messages in one legacy batch."),
      depth: wholeNumber(8, 10_000).default(128).describe("Deepest nesting of arrays and objects in a message."),
      name: byteSize("16KiB")
        .prefault("4KiB")
        .describe(
          "Longest method, and longest tool, prompt or resource name, in bytes: both become request " +
            "headers, of which Envoy takes 60 KiB in all.",
        ),
      initialize: byteSize("1MiB")
        .prefault("64KiB")
        .describe("Largest params of an initialize, in bytes: a session keeps them."),
      replayBody: byteSize("1GiB")
        .prefault("256KiB")
        .describe("Largest body that is kept until its request is answered, to be sent again if its session is lost."),
      replayBodies: byteSize("16GiB")
        .prefault("64MiB")
        .describe(
          "What is kept at once of all requests, bodies and headers, in each process of a router. Requests " +
            "beyond it are not sent again. One session keeps a sixteenth of it at most, and one principal a quarter.",
        ),
      recoveredAnswer: byteSize("1GiB")
        .prefault("16MiB")
        .describe(
          "Largest answer to a request that was sent again, event streams too; what is longer is cut " +
            "off. Envoy holds all of it for a client that does not read.",
        ),
      recoveredAnswers: byteSize("16GiB")
        .prefault("256MiB")
        .describe(
          "The same of all such answers that are under way at once, in each process of a router. Those beyond it are cut off " +
            "as well. One that Envoy has all of counts no longer, though Envoy may still hold it for its client. Shares as of `replayBodies`.",
        ),
    })
    .prefault({}),
  backends: z
    .record(name, backend, "expected the backends, each by its name")
    .refine((all) => Object.keys(all).length > 0, "expected at least one backend")
    .describe(
      "MCP servers by name: lower-case letters, digits and inner hyphens, at most 63. Each is a cluster of Envoy, of one or " +
        "more endpoints.",
    ),
  routes: z
    .array(route, "expected a list of routes")
    .min(1, "expected at least one route")
    .describe("Public paths. A client's URL is that of Envoy with one of them."),
});

/** What the file says, defaults filled in, not yet checked across fields. */
export type RawConfig = z.output<typeof schema>;

/** zod's issues in the words of `expectation`, or in those of the value; `describe.ts` turns them into errors. */
export function parseShape(value: unknown): z.ZodSafeParseResult<RawConfig> {
  return schema.safeParse(value, { error: expectation });
}

/** The same as a JSON Schema (2020-12) of what is written; `title` says what is expected of a value. */
export function jsonSchema(): object {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

let madeSchema: object | undefined;

/** The settings that are known under a path, to suggest one for a name that is not. */
export function settingsUnder(path: readonly PropertyKey[]): string[] {
  // Made once: it takes milliseconds, and a file may have many names that are not known.
  madeSchema ??= jsonSchema();
  let node: unknown = madeSchema;
  for (const key of path)
    node =
      typeof key === "number"
        ? at(node, "items")
        : (at(at(node, "properties"), key) ?? at(node, "additionalProperties"));
  return Object.keys(at(node, "properties") ?? {});
}

function at(node: unknown, key: PropertyKey): object | undefined {
  const value: unknown = typeof node === "object" && node !== null ? Reflect.get(node, key) : undefined;
  return typeof value === "object" && value !== null ? value : undefined;
}

/** What was expected, where the kind of value does not say it itself. */
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === null ? "expected settings under it; remove the empty key" : "expected settings under it";
    case "invalid_value":
      return `expected one of ${issue.values.join(", ")}`;
    case "invalid_union":
      return Array.isArray(issue.options) ? `expected one of ${issue.options.join(", ")}` : undefined;
    default:
      return undefined;
  }
}
