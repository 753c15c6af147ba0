/** `routes`: the public paths, and the backends that they lead to. */
import * as z from "zod";
import { path } from "../values/paths.ts";
import { anyText, glob, text, trueOrFalse } from "../values/text.ts";
import { pinSettings } from "./pins.ts";

/** @param what is filtered; `names`: by what the patterns choose; `more`: further settings of the same items */
function filter<More extends z.ZodRawShape>(what: string, names: string, more: More) {
  return z
    .strictObject({
      allow: z
        .array(glob, "expected a list of patterns")
        .optional()
        .describe(
          `Only ${what} that one of these patterns matches are offered. \`*\` stands for any text. Default: all.`,
        ),
      deny: z
        .array(glob, "expected a list of patterns")
        .optional()
        .describe(
          `${capitalized(what)} that one of these patterns matches are not offered, even if \`allow\` has them. Default: none.`,
        ),
      ...more,
    })
    .optional()
    .describe(
      `Only on a federated route: which ${what} clients may see and use, by ${names}. The patterns hold for lists and for calls.`,
    );
}

function capitalized(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const NAMES = "the names that clients see (`files__read`)";

const route = z.strictObject({
  path: path.describe(
    "Public path. Envoy normalizes a request's path before the comparison: repeated slashes count as one, and a " +
      "trailing slash makes no difference. `/mcp/` is the same as `/mcp`.",
  ),
  backends: z
    .array(text("the name of a backend"), "expected a list of the names of backends")
    .min(1, "expected at least one backend")
    .describe(
      "Names of backends. With one, the route passes its messages on. With several, the route is federated: see [Several " +
        "servers behind one URL](#several-servers-behind-one-url).",
    ),
  federated: trueOrFalse
    .optional()
    .describe(
      "`true`: the route is federated, even with one backend, so that no name changes when a second one joins. Default: `true` " +
        "with several backends, `false` with one.",
    ),
  sessions: z
    .enum(["optional", "required"])
    .optional()
    .describe(
      "`required`: the router refuses a legacy message without a session, unless it is an `initialize`. `optional`: it " +
        "forwards the message. Default: `optional`. A federated route always requires sessions.",
    ),
  era: z
    .enum(["same", "bridge"])
    .optional()
    .describe(
      "Whether clients of protocol version 2026-07-28, which have no sessions, are served where a backend speaks older versions " +
        "alone. `same`: no; a client of both eras begins a session, in which it loses nothing. `bridge`: yes; the router holds a " +
        "session there for them, and such a backend can ask them nothing. They are not where a backend has `lists: principal`. " +
        "On a route that is not federated, `bridge` also serves clients with sessions where the backend speaks 2026-07-28 alone, " +
        "as a federated route always does: see [One server for clients of each era](#one-server-for-clients-of-each-era). " +
        "Default: `same`.",
    ),
  tools: filter("tools", NAMES, pinSettings),
  prompts: filter("prompts", NAMES, {}),
  resources: filter("resources", "their URIs, and templates by their text", {}),
  instructions: anyText("a text")
    .optional()
    .describe(
      "Only on a federated route: instructions for clients' models, in place of the backends' own. An empty text: none. " +
        "Default: those of the backends, each under its name.",
    ),
  serverInfo: z
    .strictObject({
      name: text("a name").optional().describe("Name of the server. Default: `path` without its first slash."),
      title: text("a title").optional().describe("Name of the server for people. Default: none."),
      version: text("a version").optional().describe("Version of the server. Default: the router's."),
    })
    .optional()
    .describe(
      "Only on a federated route: the server that clients are told of. Some clients tell servers apart by its name.",
    ),
});

export const routesSection = z
  .array(route, "expected a list of routes")
  .min(1, "expected at least one route")
  .describe("Public paths. A client's URL is Envoy's address followed by one of these paths.");
