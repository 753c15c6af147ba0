/** `store`: where sessions are kept. */
import * as z from "zod";
import type { TcpAddress } from "../../core/address.ts";
import { addFault } from "../fault.ts";
import { tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { anyText, text } from "../values/text.ts";
import { redisUrl } from "../values/urls.ts";

/** Where a Redis is. */
type RedisPlace =
  | { readonly kind: "single"; readonly host: string; readonly port: number }
  | { readonly kind: "sentinel"; readonly master: string; readonly nodes: readonly TcpAddress[] }
  | { readonly kind: "cluster"; readonly nodes: readonly TcpAddress[] };

/** A Redis, whatever of it was written in its URL. Times in ms. */
interface RedisStore {
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
  /** undefined = `patience.ts` has the default. */
  readonly patience: number | undefined;
  /** PEM files on the router's machine. */
  readonly tls: z.output<typeof writtenTls> | undefined;
}

const nodes = z.array(tcpAddress, "expected a list of addresses").min(1, "expected at least one address");

const writtenTls = z.strictObject({
  ca: text("the path of a PEM file").optional().describe("Authorities to trust. Default: those of Node.js."),
  cert: text("the path of a PEM file").optional().describe("Certificate of the router's own."),
  key: text("the path of a PEM file").optional().describe("Its key."),
  serverName: text("a host name").optional().describe("Name to verify. Default: the host that is connected to."),
});

const writtenRedis = z.strictObject({
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
  prefix: anyText("a text")
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
  tls: writtenTls.optional().describe("TLS, which `rediss://` switches on too. Paths are on the router's machine."),
});

export const storeSection = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("memory").describe("Sessions end with the router, and no other router knows them."),
    }),
    writtenRedis.transform(readRedis),
  ])
  .prefault({ kind: "memory" })
  .describe("Where sessions are kept.");

type WrittenRedis = z.output<typeof writtenRedis>;

function readRedis(written: WrittenRedis, context: z.RefinementCtx): RedisStore {
  const { kind, prefix, timeout, patience, url, username, passwordFile, database, tls } = written;
  const at = placeOf(written, context);
  const sayOnce = (setting: string, beside: unknown, inUrl: unknown) => {
    if (beside !== undefined && inUrl !== undefined)
      addFault(context, [setting], "stands in store.url too; say it once");
  };
  sayOnce("username", username, url?.username);
  sayOnce("passwordFile", passwordFile, url?.password);
  sayOnce("database", database || undefined, url?.database);
  if (at === undefined) return z.NEVER;
  if (at.kind === "cluster" && database !== 0)
    addFault(context, ["database"], `got ${database}, expected 0: a Redis Cluster has no other`);
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

/** undefined where it is not said once. */
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
