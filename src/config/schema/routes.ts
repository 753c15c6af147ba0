/** `routes`: the public paths, and the backends that they lead to. */
import * as z from "zod";
import { path } from "../values/paths.ts";
import { text } from "../values/text.ts";

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

export const routesSection = z
  .array(route, "expected a list of routes")
  .min(1, "expected at least one route")
  .describe("Public paths. A client's URL is that of Envoy with one of them.");
