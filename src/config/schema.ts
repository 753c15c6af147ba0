/**
 * The shape of `mcp-router.yaml`: the one source from which the processor and Envoy are configured.
 * Every setting, its unit and its default are defined here and nowhere else.
 */
import * as z from "zod";
import {
  address,
  backendPath,
  byteSize,
  cap,
  duration,
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

const seconds = 1_000;
const minutes = 60 * seconds;
const hours = 60 * minutes;
const KiB = 1024;
const MiB = 1024 * KiB;

/** Names become Envoy cluster names, header values and (in federation) tool prefixes, where `__` separates. */
const name = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "expected a name of lower-case letters, digits and inner hyphens, at most 63",
  );

const tlsToBackend = z.strictObject({
  /** Server name sent and verified. */
  sni: text("a server name"),
  /** PEM file of the authorities that Envoy trusts, as a path on Envoy's machine. Default: the system's. */
  ca: text("the path of a PEM file").optional(),
});

const timeouts = z.strictObject({
  /** Longest a POST and its answer (also as SSE) may take. */
  call: duration.default(10 * minutes),
  /** Longest a GET stream, or a modern `subscriptions/listen`, stays open. */
  listen: duration.default(30 * minutes),
  /** Longest Envoy waits for a TCP (and TLS) connection to a backend. */
  connect: duration.default(5 * seconds),
  /** Longest that the recovery of a lost session may take. */
  initialize: duration.default(10 * seconds),
});

const backend = z.strictObject({
  /** `ip:port`, or `name:port` that Envoy resolves. */
  endpoints: z.array(tcpAddress, "expected a list of endpoints").min(1, "expected at least one endpoint"),
  /** Path of the MCP endpoint at the backend, sent as it is written. */
  path: backendPath.default("/mcp"),
  /** `Host` that the backend is sent. Default: the endpoint's own address. */
  host: text("a host name").optional(),
  tls: tlsToBackend.optional(),
  /** Only where they differ from the top-level `timeouts`. */
  timeouts: z
    .strictObject({
      call: duration.optional(),
      listen: duration.optional(),
      connect: duration.optional(),
      initialize: duration.optional(),
    })
    .default({}),
  /**
   * When a backend has lost a session: begin another one there, send the request again, and let the client know nothing; or
   * `surface` the backend's own answer.
   */
  onSessionLost: z.enum(["recover", "surface"]).default("recover"),
});

const route = z.strictObject({
  /** Public path, compared byte by byte after Envoy's normalization. */
  path,
  backends: z
    .array(text("the name of a backend"), "expected a list of the names of backends")
    .min(1, "expected at least one backend"),
  /** `required`: a legacy message without a session (other than `initialize`) is refused instead of forwarded. */
  sessions: z.enum(["optional", "required"]).default("optional"),
});

const nodes = z.array(tcpAddress, "expected a list of addresses").min(1, "expected at least one address");

/** Redis 6.2 or later, or Valkey: one of `url`, `sentinel` and `cluster` says where. */
const redis = z.strictObject({
  kind: z.literal("redis"),
  /** `redis://host:6379`, or `rediss://` for TLS. May hold user, password and number of the database. */
  url: redisUrl.optional(),
  /** The master is asked of these Sentinels by the name that they know it by. */
  sentinel: z.strictObject({ master: text("the name of the master"), nodes }).optional(),
  /** Some nodes of a Redis Cluster; they tell the others. */
  cluster: z.strictObject({ nodes }).optional(),
  /** How every key begins. */
  prefix: z
    .string("expected a text")
    .regex(/^[\w.-]{1,32}$/, "expected up to 32 letters, digits, dots, hyphens")
    .default("mcpr"),
  username: text("the name of an ACL user").optional(),
  /** A file with the password and nothing else. */
  passwordFile: text("the path of a file").optional(),
  /** Number of the database; a cluster has only 0. */
  database: wholeNumber(0, 1_000).default(0),
  /** Longest that a command may take. A session's request waits for one. */
  timeout: duration.default(500),
  /** Needed for TLS with Sentinels or a cluster; PEM files. */
  tls: z
    .strictObject({
      ca: text("the path of a PEM file").optional(),
      cert: text("the path of a PEM file").optional(),
      key: text("the path of a PEM file").optional(),
      serverName: text("a host name").optional(),
    })
    .optional(),
});

const required = z.boolean("expected true or false").default(true);

/** How the principal of a request is known, to whom its session then belongs. */
const identity = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  /** A bearer token, which Envoy checks before the router is asked. */
  z.strictObject({
    kind: z.literal("jwt"),
    /** `iss` of the tokens, as they have it. */
    issuer: text("the issuer of the tokens"),
    /** A token must be for one of these. */
    audiences: z.array(text("an audience"), "expected a list of audiences").min(1, "expected at least one audience"),
    jwks: z.strictObject({
      /** JSON Web Key Set (RFC 7517), as a path on Envoy's machine. */
      file: text("the path of a JSON Web Key Set").optional(),
      /** Where Envoy fetches it from instead. */
      uri: webUrl.optional(),
      /** Of `uri`: PEM file of the authorities that Envoy trusts, as a path on its machine. Default: the system's. */
      ca: text("the path of a PEM file").optional(),
      /** Of `uri`: how long Envoy uses a set before it fetches it again. New keys of the issuer are known after it. */
      refresh: duration.default(10 * minutes),
    }),
    /** Whether a request without a token is refused. */
    required,
  }),
  /** A header that whoever is ahead of the router sets. */
  z.strictObject({
    kind: z.literal("header"),
    name: z
      .string("expected the name of a header")
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/i, "expected the name of a header: letters, digits and hyphens, at most 63")
      .toLowerCase(),
    /** Whether a request without it is refused. */
    required,
  }),
]);

const schema = z.strictObject({
  gateway: z
    .strictObject({
      /** Where clients reach Envoy. */
      listen: tcpAddress.default({ host: "0.0.0.0", port: 8080 }),
      /**
       * Hosts that clients may use: the guard against DNS rebinding. One without a port is taken with any port; one with
       * :80 or :443 also without, since clients leave out the default port of their scheme. Default: any.
       */
      hosts: z.array(host, "expected a list of hosts").min(1, "expected at least one host").optional(),
      /** Origins that browsers may call from. Default: the same host only. A request without Origin is fine. */
      origins: z.array(origin, "expected a list of origins").optional(),
      tls: z
        .strictObject({
          /** PEM files, as paths on Envoy's machine. */
          cert: text("the path of a PEM file"),
          key: text("the path of a PEM file"),
        })
        .optional(),
    })
    .prefault({}),
  egress: z
    .strictObject({
      /** Envoy's listener for the processor's own calls. Whoever reaches it goes around the processor. */
      listen: tcpAddress.default({ host: "127.0.0.1", port: 8081 }),
      /** Where the processor reaches it, a name too: for a processor that is not on Envoy's machine. Default: `listen`. */
      address: tcpAddress.optional(),
    })
    .prefault({}),
  processor: z
    .strictObject({
      /** Where the processor serves ext_proc (gRPC): `host:port` or `unix:/absolute/path`. */
      listen: address.default({ kind: "tcp", host: "127.0.0.1", port: 50051 }),
      /** Health and metrics over HTTP; absent = none. */
      http: tcpAddress.optional(),
      /**
       * Processes to run, one for each core to use; they share a Redis. Worker n, from 0, listens n ports above `listen`,
       * or on its socket with `.n` added. `--workers` overrides it.
       */
      workers: wholeNumber(1, MAX_WORKERS).default(1),
      /** The processors that Envoy spreads requests over. Default: the workers of this router. */
      endpoints: z.array(address, "expected a list of addresses").min(1, "expected at least one address").optional(),
      /** How long Envoy waits for one answer of the processor. 200 ms, Envoy's default, is too short for a burst. */
      messageTimeout: duration.default(5 * seconds),
      /** After SIGTERM: how long requests under way may take before they are cut. */
      drain: duration.default(30 * seconds),
    })
    .prefault({}),
  envoy: z
    .strictObject({
      /** Envoy's admin listener; absent = none. */
      admin: tcpAddress.optional(),
    })
    .prefault({}),
  /** Where sessions are kept. In memory they end with the router, and no other router knows them. */
  store: z
    .discriminatedUnion("kind", [z.strictObject({ kind: z.literal("memory") }), redis])
    .prefault({ kind: "memory" }),
  sessions: z
    .strictObject({
      /** A session ends when nothing used it for this long. */
      idle: duration.default(30 * minutes),
      /** A session ends this long after its initialize, used or not. */
      lifetime: duration.default(24 * hours),
      /** How often expired sessions are looked for, to tell their backends. */
      sweep: duration.default(10 * seconds),
    })
    .prefault({}),
  /** Who may begin a session. `off` switches a cap off; 0 is its default. What lives is never refused. */
  admission: z
    .strictObject({
      /** Most sessions at once, over all routers. */
      sessions: cap(100, 10_000_000),
      /** Most sessions of one principal at once. Anonymous callers cannot be told apart, so it is not for them. */
      perPrincipal: cap(10, 10_000_000),
      /** Most initializes that wait for one backend at once, in each process of a router. */
      waiting: cap(100, 1_000_000),
      /** What a refused client is told to wait. */
      retryAfter: duration.default(30 * seconds),
      /**
       * Bounds POSTs that open something, in Envoy and ahead of tokens: those that carry neither mcp-session-id nor, as
       * modern ones do, mcp-method. The rest get 503. Calls of legacy clients to a backend without sessions look the same,
       * so they count. Who adds such a header passes the guard, and meets the caps. Default: off.
       */
      guard: z
        .strictObject({
          /** In each Envoy, whatever its number of workers. */
          perSecond: wholeNumber(1, 1_000_000),
          /** Most at once, after a pause. */
          burst: wholeNumber(1, 1_000_000),
        })
        .optional(),
    })
    .prefault({}),
  identity: identity.prefault({ kind: "none" }),
  log: z
    .strictObject({
      /** Overridden by the environment variable LOG_LEVEL. */
      level: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
    })
    .prefault({}),
  timeouts: timeouts.prefault({}),
  limits: z
    .strictObject({
      /** Largest request body, in bytes. */
      body: byteSize("1GiB").default(4 * MiB),
      /** Most messages in one legacy batch. */
      batch: wholeNumber(1, 10_000).default(100),
      /** Deepest nesting of arrays and objects in a message. */
      depth: wholeNumber(8, 10_000).default(128),
      /**
       * Longest method, and longest tool, prompt or resource name, in bytes: both become request headers, of which
       * Envoy takes 60 KiB in all.
       */
      name: byteSize("16KiB").default(1 * KiB),
      /** Largest params of an initialize, in bytes: a session keeps them. */
      initialize: byteSize("1MiB").default(64 * KiB),
      /** Largest body that is kept until its request is answered, to be sent again if its session is lost. */
      replayBody: byteSize("1GiB").default(256 * KiB),
      /** Bodies that are kept at once, in all, in each process of a router. Requests beyond it are not sent again. */
      replayBodies: byteSize("16GiB").default(64 * MiB),
      /**
       * Largest answer to a request that was sent again, event streams too; what is longer is cut off. Envoy holds all of it
       * for a client that does not read.
       */
      recoveredAnswer: byteSize("1GiB").default(16 * MiB),
    })
    .prefault({}),
  backends: z
    .record(name, backend, "expected the backends, each by its name")
    .refine((all) => Object.keys(all).length > 0, "expected at least one backend"),
  routes: z.array(route, "expected a list of routes").min(1, "expected at least one route"),
});

/** What the file says, defaults filled in, not yet checked across fields. */
export type RawConfig = z.output<typeof schema>;

/** zod's issues in the words of `expectation`, or in those of the value; `describe.ts` turns them into errors. */
export function parseShape(value: unknown): z.ZodSafeParseResult<RawConfig> {
  return schema.safeParse(value, { error: expectation });
}

/** The settings that are known under a path, to suggest one for a name that is not. */
export function settingsUnder(path: readonly PropertyKey[]): string[] {
  let node: unknown = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
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
