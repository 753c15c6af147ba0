/**
 * Every method of MCP that this gateway knows, and what an intermediary of several servers does with each: data that the code, its
 * tests and docs/internals/mcp-methods.md are made of. Methods: MCP 2025-03-26 to 2025-11-25 (legacy), 2026-07-28 (modern), and the
 * tasks extension (SEP-2663). Pure.
 */
import { EACH, type Path } from "../json/places.ts";

/** Asks for a session. It has a slot, or it is refused. */
export const INITIALIZE = "initialize";

/** Asks what a server is and can do: a server of the modern era has no initialize. */
export const DISCOVER = "server/discover";

/** Its answer is an event stream that stays open, on which a server of the modern era says that something has changed. */
export const LISTEN = "subscriptions/listen";

/** Calls a tool. */
export const CALL_TOOL = "tools/call";

export type MethodEra = "legacy" | "modern";

/** What one route to several servers does with a message. */
type Treatment =
  /** The gateway opens sessions for it at the servers. */
  | { readonly kind: "begin" }
  /** The gateway answers it, from the answers of all servers. */
  | { readonly kind: "ours" }
  /** One server gets it: the one that `by` leads to. */
  | { readonly kind: "one"; readonly by: Path }
  /** All on the other side get it: every server that has a session of this client, or the client. */
  | { readonly kind: "all" }
  /** Nobody gets it. */
  | { readonly kind: "drop" };

export interface Method {
  readonly method: string;
  readonly from: "client" | "server";
  readonly form: "request" | "notification";
  readonly eras: readonly MethodEra[];
  readonly treatment: Treatment;
  /**
   * Where the message, and its answer, hold names that differ between one server and a route to several: names, URIs, task ids,
   * ids of requests. A request's own id is not listed: it changes wherever two servers may use the same one.
   */
  readonly renamed: { readonly message: readonly Path[]; readonly answer: readonly Path[] };
  /** A modern client repeats what `by` leads to in the Mcp-Name header (SEP-2243, "Standard Request Headers"; SEP-2663). */
  readonly mirrored: boolean;
  /** The request begins a session, or changes what a server keeps of one. The gateway counts or remembers it. */
  readonly ofSessions: boolean;
}

const LEGACY = ["legacy"] as const;
const MODERN = ["modern"] as const;
const BOTH = ["legacy", "modern"] as const;

const NAME: Path = ["params", "name"];
const URI: Path = ["params", "uri"];
const TASK: Path = ["params", "taskId"];
const REF: Path = ["params", "ref"];
/** A call that became a task says so in its result. */
const TASK_BEGUN: Path = ["result", "task", "taskId"];
const RELATED_TASK: Path = ["result", "_meta", "io.modelcontextprotocol/related-task", "taskId"];
/** Where the results of tools name resources. */
const LINKED: readonly Path[] = [
  ["result", "content", EACH, "uri"],
  ["result", "content", EACH, "resource", "uri"],
];

type Rest = Partial<Pick<Method, "mirrored" | "ofSessions">> & Partial<Method["renamed"]>;

function row(
  method: string,
  [from, form]: readonly [from: Method["from"], form: Method["form"]],
  eras: readonly MethodEra[],
  treatment: Treatment,
  { message = [], answer = [], mirrored = false, ofSessions = false }: Rest = {},
): Method {
  return { method, from, form, eras, treatment, renamed: { message, answer }, mirrored, ofSessions };
}

const ASKED = ["client", "request"] as const;
const TOLD = ["client", "notification"] as const;
const ASKS = ["server", "request"] as const;
const TELLS = ["server", "notification"] as const;

const OURS: Treatment = { kind: "ours" };
const ALL: Treatment = { kind: "all" };
const DROP: Treatment = { kind: "drop" };
const one = (by: Path): Treatment => ({ kind: "one", by });

export const METHODS: readonly Method[] = [
  row(INITIALIZE, ASKED, LEGACY, { kind: "begin" }, { ofSessions: true }),
  row("notifications/initialized", TOLD, LEGACY, ALL),
  row(DISCOVER, ASKED, MODERN, OURS),
  row("ping", ASKED, LEGACY, OURS),
  row("logging/setLevel", ASKED, LEGACY, ALL, { ofSessions: true }),
  row("tools/list", ASKED, BOTH, OURS, {
    answer: [
      ["result", "tools", EACH, "name"],
      // MCP Apps (SEP-1865).
      ["result", "tools", EACH, "_meta", "ui", "resourceUri"],
    ],
  }),
  row(CALL_TOOL, ASKED, BOTH, one(NAME), { message: [NAME], answer: [...LINKED, TASK_BEGUN], mirrored: true }),
  row("prompts/list", ASKED, BOTH, OURS, { answer: [["result", "prompts", EACH, "name"]] }),
  row("prompts/get", ASKED, BOTH, one(NAME), {
    message: [NAME],
    answer: [
      ["result", "messages", EACH, "content", "uri"],
      ["result", "messages", EACH, "content", "resource", "uri"],
    ],
    mirrored: true,
  }),
  row("resources/list", ASKED, BOTH, OURS, { answer: [["result", "resources", EACH, "uri"]] }),
  row("resources/templates/list", ASKED, BOTH, OURS, {
    answer: [["result", "resourceTemplates", EACH, "uriTemplate"]],
  }),
  row("resources/read", ASKED, BOTH, one(URI), {
    message: [URI],
    answer: [["result", "contents", EACH, "uri"]],
    mirrored: true,
  }),
  row("resources/subscribe", ASKED, LEGACY, one(URI), { message: [URI], ofSessions: true }),
  row("resources/unsubscribe", ASKED, LEGACY, one(URI), { message: [URI], ofSessions: true }),
  row("completion/complete", ASKED, BOTH, one(REF), {
    message: [
      [...REF, "name"],
      [...REF, "uri"],
    ],
  }),
  row("tasks/list", ASKED, LEGACY, OURS, { answer: [["result", "tasks", EACH, "taskId"]] }),
  row("tasks/get", ASKED, BOTH, one(TASK), { message: [TASK], answer: [["result", "taskId"]], mirrored: true }),
  row("tasks/result", ASKED, LEGACY, one(TASK), { message: [TASK], answer: [...LINKED, RELATED_TASK] }),
  row("tasks/update", ASKED, MODERN, one(TASK), { message: [TASK], mirrored: true }),
  row("tasks/cancel", ASKED, BOTH, one(TASK), { message: [TASK], answer: [["result", "taskId"]], mirrored: true }),
  row(LISTEN, ASKED, MODERN, OURS, {
    message: [["params", "notifications", "resourceSubscriptions", EACH]],
  }),
  // A client's ids are unique in its session: servers ignore one that they do not know.
  row("notifications/cancelled", TOLD, LEGACY, ALL),
  row("notifications/progress", TOLD, LEGACY, one(["params", "progressToken"]), {
    message: [["params", "progressToken"]],
  }),
  row("notifications/roots/list_changed", TOLD, LEGACY, ALL),

  row("ping", ASKS, LEGACY, ALL),
  row("roots/list", ASKS, LEGACY, ALL),
  row("sampling/createMessage", ASKS, LEGACY, ALL),
  row("elicitation/create", ASKS, LEGACY, ALL),
  row("notifications/message", TELLS, BOTH, ALL),
  // The token is the client's own, so it passes as it is.
  row("notifications/progress", TELLS, BOTH, ALL),
  row("notifications/cancelled", TELLS, BOTH, ALL, { message: [["params", "requestId"]] }),
  row("notifications/tools/list_changed", TELLS, BOTH, ALL),
  row("notifications/prompts/list_changed", TELLS, BOTH, ALL),
  row("notifications/resources/list_changed", TELLS, BOTH, ALL),
  row("notifications/resources/updated", TELLS, BOTH, ALL, { message: [URI] }),
  row("notifications/elicitation/complete", TELLS, LEGACY, ALL),
  row("notifications/tasks/status", TELLS, LEGACY, ALL, { message: [TASK] }),
  row("notifications/tasks", TELLS, MODERN, ALL, { message: [TASK] }),
  // The gateway acknowledges once, when every server has.
  row("notifications/subscriptions/acknowledged", TELLS, MODERN, DROP),
];
