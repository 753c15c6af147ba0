/** `routes`: the public paths, and the backends that they lead to. */
import * as z from "zod";
import { path } from "../values/paths.ts";
import { text } from "../values/text.ts";

const route = z.strictObject({
  path: path.describe(
    "Public path. Envoy normalizes a request's path before the comparison: repeated slashes count as one, and a " +
      "trailing slash makes no difference. `/mcp/` is the same as `/mcp`.",
  ),
  backends: z
    .array(text("the name of a backend"), "expected a list of the names of backends")
    .min(1, "expected at least one backend")
    .describe("Names of backends. Exactly one: routes with several backends (federated routes) are not supported yet."),
  sessions: z
    .enum(["optional", "required"])
    .default("optional")
    .describe(
      "`required`: the router refuses a legacy message without a session, unless it is an `initialize`. `optional`: it " +
        "forwards the message.",
    ),
});

export const routesSection = z
  .array(route, "expected a list of routes")
  .min(1, "expected at least one route")
  .describe("Public paths. A client's URL is Envoy's address followed by one of these paths.");
