/** `store`: where sessions are kept. */
import * as z from "zod";
import type { TcpAddress } from "../../core/address.ts";
import { addFault } from "../fault.ts";
import { tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { anyText, text } from "../values/text.ts";
import { redisUrl } from "../values/urls.ts";

/** How to reach Redis. */
type RedisPlace =
  | { readonly kind: "single"; readonly host: string; readonly port: number }
  | { readonly kind: "sentinel"; readonly master: string; readonly nodes: readonly TcpAddress[] }
  | { readonly kind: "cluster"; readonly nodes: readonly TcpAddress[] };

/** The settings of Redis, those in its URL too. Times in ms. */
export interface RedisStore {
  readonly kind: "redis";
  readonly at: RedisPlace;
  readonly username: string | undefined;
  readonly password:
    | { readonly kind: "text"; readonly text: string }
    | { readonly kind: "file"; readonly file: string }
    | undefined;
  readonly database: number;
  readonly prefix: string;
  readonly timeout: number;
  /** undefined = the default of `patience.ts`. */
  readonly patience: number | undefined;
  /** PEM files on the router's machine. */
  readonly tls: z.output<typeof writtenTls> | undefined;
}

const nodes = z.array(tcpAddress, "expected a list of addresses").min(1, "expected at least one address");

const writtenTls = z.strictObject({
  ca: text("the path of a PEM file")
    .optional()
    .describe("PEM file of the trusted certificate authorities. Default: those of Node.js."),
  cert: text("the path of a PEM file").optional().describe("PEM file of the router's client certificate."),
  key: text("the path of a PEM file").optional().describe("PEM file of the private key of `cert`."),
  serverName: text("a host name")
    .optional()
    .describe("Name that the server's certificate must have. Default: the host that the router connects to."),
});

const writtenRedis = z.strictObject({
  kind: z
    .literal("redis")
    .describe(
      "Redis 6.2 or later, or Valkey. Set exactly one of `url`, `sentinel` and `cluster`. Several routers can share it.",
    ),
  url: redisUrl
    .optional()
    .describe(
      "URL of a single server: `redis://host:6379`, or `rediss://` for TLS. May contain user, password and database " +
        "number.",
    ),
  sentinel: z
    .strictObject({
      master: text("the name of the master").describe("Name of the master, as configured in the Sentinels."),
      nodes: nodes.describe("Addresses of the Sentinels."),
    })
    .optional()
    .describe("A Redis whose master is elected by Sentinels."),
  cluster: z
    .strictObject({ nodes: nodes.describe("Addresses of some nodes; the router discovers the other nodes from them.") })
    .optional()
    .describe("A Redis Cluster."),
  prefix: anyText("a text")
    .regex(/^[\w.-]{1,32}$/, "expected up to 32 letters, digits, dots, hyphens, underscores")
    .meta({ title: "up to 32 letters, digits, dots, hyphens, underscores" })
    .default("mcpr")
    .describe("Prefix of all keys."),
  username: text("the name of an ACL user").optional().describe("Name of the ACL user. Default: Redis's default user."),
  passwordFile: text("the path of a file")
    .optional()
    .describe("File that contains only the password. A relative path starts from the router's working directory."),
  database: wholeNumber(0, 1_000).default(0).describe("Number of the database. A cluster has only 0."),
  timeout: duration
    .prefault("500ms")
    .describe(
      "Longest time for one command. A request in a session waits for at least one. At most a third of " +
        "`processor.messageTimeout`.",
    ),
  patience: duration
    .optional()
    .describe(
      "While Redis has been unavailable for less than this, a request in a session waits for it; after that, it is " +
        "refused at once. At most `processor.messageTimeout` minus three times `timeout`. Default: 3s, or that maximum if " +
        "it is less.",
    ),
  tls: writtenTls
    .optional()
    .describe("TLS to Redis. `rediss://` in `url` turns it on too. Paths are on the router's machine."),
});

export const storeSection = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z
        .literal("memory")
        .describe("Sessions are kept in the memory of one router: they end with it, and no other router knows them."),
    }),
    writtenRedis.transform(readRedis),
  ])
  .prefault({ kind: "memory" })
  .describe("Where sessions are stored.");

type WrittenRedis = z.output<typeof writtenRedis>;

function readRedis(written: WrittenRedis, context: z.RefinementCtx): RedisStore {
  const { kind, prefix, timeout, patience, url, username, passwordFile, database, tls } = written;
  const at = placeOf(written, context);
  const sayOnce = (setting: string, beside: unknown, inUrl: unknown) => {
    if (beside !== undefined && inUrl !== undefined)
      addFault(context, [setting], "is also in store.url; set it in one place");
  };
  sayOnce("username", username, url?.username);
  sayOnce("passwordFile", passwordFile, url?.password);
  sayOnce("database", database || undefined, url?.database);
  if (at === undefined) return z.NEVER;
  if (at.kind === "cluster" && database !== 0)
    addFault(context, ["database"], `got ${database}, expected 0: a Redis Cluster has only one database`);
  return {
    kind,
    at,
    username: username ?? url?.username,
    password: passwordOf(passwordFile, url?.password),
    database: url?.database ?? database,
    prefix,
    timeout,
    patience,
    tls: tls ?? (url?.tls ? {} : undefined),
  };
}

/** undefined if the file names none or several; the error is added to `context`. */
function placeOf({ url, sentinel, cluster }: WrittenRedis, context: z.RefinementCtx): RedisPlace | undefined {
  const places: (readonly [setting: string, place: RedisPlace])[] = [];
  if (url) places.push(["url", { kind: "single", host: url.host, port: url.port }]);
  if (sentinel) places.push(["sentinel", { kind: "sentinel", ...sentinel }]);
  if (cluster) places.push(["cluster", { kind: "cluster", ...cluster }]);
  const [only, ...others] = places;
  if (only && others.length === 0) return only[1];
  const got = places.map(([setting]) => setting).join(" and ") || "none of them";
  addFault(context, [], `got ${got}, expected one of url, sentinel and cluster`);
  return undefined;
}

function passwordOf(file: string | undefined, text: string | undefined): RedisStore["password"] {
  if (file !== undefined) return { kind: "file", file };
  return text === undefined ? undefined : { kind: "text", text };
}
