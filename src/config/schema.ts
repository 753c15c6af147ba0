/**
 * The shape of `mcp-router.yaml`: the one source from which the processor and Envoy are configured.
 * Every setting, its unit and its default are defined here and nowhere else.
 */
import * as z from "zod";
import { address, byteSize, duration, origin, path, tcpAddress } from "./values.ts";

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
  sni: z.string().min(1),
  /** PEM file of the authorities that Envoy trusts, as a path on Envoy's machine. Default: the system's. */
  ca: z.string().min(1).optional(),
});

const timeouts = z.strictObject({
  /** Longest a POST and its answer (also as SSE) may take. */
  call: duration.default(10 * minutes),
  /** Longest a GET stream, or a modern `subscriptions/listen`, stays open. */
  listen: duration.default(30 * minutes),
  /** Longest Envoy waits for a TCP (and TLS) connection to a backend. */
  connect: duration.default(5 * seconds),
});

const backend = z.strictObject({
  /** `ip:port`, or `name:port` that Envoy resolves. */
  endpoints: z.array(tcpAddress).min(1, "expected at least one endpoint"),
  /** Path of the MCP endpoint at the backend. */
  path: path.default("/mcp"),
  /** `Host` that the backend is sent. Default: the endpoint's own address. */
  host: z.string().min(1).optional(),
  tls: tlsToBackend.optional(),
  /** Only where they differ from the top-level `timeouts`. */
  timeouts: z
    .strictObject({ call: duration.optional(), listen: duration.optional(), connect: duration.optional() })
    .default({}),
  /** What a client sees when a backend has lost its session. `recover` is issue 6. */
  onSessionLost: z.enum(["surface", "recover"]).default("surface"),
});

const route = z.strictObject({
  /** Public path, compared byte by byte after Envoy's normalization. */
  path,
  backends: z.array(z.string()).min(1, "expected at least one backend"),
  /** `required`: a legacy message without a session (other than `initialize`) is refused instead of forwarded. */
  sessions: z.enum(["optional", "required"]).default("optional"),
});

const schema = z.strictObject({
  gateway: z
    .strictObject({
      /** Where clients reach Envoy. */
      listen: tcpAddress.default({ host: "0.0.0.0", port: 8080 }),
      /** Host names (with or without a port) that clients may use. Default: any. */
      hosts: z.array(z.string().min(1)).optional(),
      /** Origins that browsers may call from. Default: the same host only. A request without Origin is fine. */
      origins: z.array(origin).optional(),
      tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
    })
    .prefault({}),
  egress: z
    .strictObject({
      /** Envoy's listener for the processor's own calls: loopback, or the pod's. */
      listen: tcpAddress.default({ host: "127.0.0.1", port: 8081 }),
    })
    .prefault({}),
  processor: z
    .strictObject({
      /** Where the processor serves ext_proc (gRPC): `host:port` or `unix:/absolute/path`. */
      listen: address.default({ kind: "tcp", host: "127.0.0.1", port: 50051 }),
      /** Health and metrics over HTTP; absent = none. */
      http: tcpAddress.optional(),
      /** The processors that Envoy spreads requests over. Default: the one at `listen`. */
      endpoints: z.array(address).min(1).optional(),
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
  /** Where sessions are kept. Of the kinds that are not built yet, `load.ts` says so; their settings are not looked at. */
  store: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("memory") }),
      z.looseObject({ kind: z.literal("redis") }),
    ])
    .prefault({ kind: "memory" }),
  sessions: z
    .strictObject({
      /** A session ends when nothing used it for this long. */
      idle: duration.default(30 * minutes),
      /** A session ends this long after its initialize, used or not. */
      lifetime: duration.default(24 * hours),
    })
    .prefault({}),
  /** How the principal of a request is known. As above. */
  identity: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("none") }),
      z.looseObject({ kind: z.enum(["jwt", "header"]) }),
    ])
    .prefault({ kind: "none" }),
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
      body: byteSize.default(4 * MiB),
      /** Most messages in one legacy batch. */
      batch: z.int().min(1).max(10_000).default(100),
      /** Deepest nesting of arrays and objects in a message. */
      depth: z.int().min(8).max(10_000).default(128),
      /** Longest method, and longest tool, prompt or resource name, in bytes: both become request headers. */
      name: byteSize.default(4096),
      /** Largest params of an initialize, in bytes: a session keeps them. */
      initialize: byteSize.default(64 * KiB),
    })
    .prefault({}),
  backends: z.record(name, backend).refine((all) => Object.keys(all).length > 0, "expected at least one backend"),
  routes: z.array(route).min(1, "expected at least one route"),
});

/** What the file says, defaults filled in, not yet checked across fields. */
export type RawConfig = z.output<typeof schema>;

/** zod's issues as they come; `load.ts` turns them into messages. */
export function parseShape(value: unknown): z.ZodSafeParseResult<RawConfig> {
  return schema.safeParse(value);
}
