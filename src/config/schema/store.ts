/** `store`: where sessions are kept. */
import * as z from "zod";
import { tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { text } from "../values/text.ts";
import { redisUrl } from "../values/urls.ts";

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

export const storeSection = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("memory").describe("Sessions end with the router, and no other router knows them."),
    }),
    redis,
  ])
  .prefault({ kind: "memory" })
  .describe("Where sessions are kept.");
