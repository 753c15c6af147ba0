/** The lists that servers have (MCP 2025-11-25, "Tools", "Prompts", "Resources"). Pure. */

export type ListKind = "tools" | "prompts" | "resources" | "templates";

interface ListOf {
  /** The request for it. */
  readonly method: string;
  /** Member of the result that holds the items. */
  readonly member: string;
  /** Member of an item that tells it from others. */
  readonly key: "name" | "uri" | "uriTemplate";
  /** A server that has the list has this capability. */
  readonly capability: "tools" | "prompts" | "resources";
  /** A server says by this notification that it has changed. */
  readonly listChanged: string;
}

export const LIST_KINDS: Readonly<Record<ListKind, ListOf>> = {
  tools: {
    method: "tools/list",
    member: "tools",
    key: "name",
    capability: "tools",
    listChanged: "notifications/tools/list_changed",
  },
  prompts: {
    method: "prompts/list",
    member: "prompts",
    key: "name",
    capability: "prompts",
    listChanged: "notifications/prompts/list_changed",
  },
  resources: {
    method: "resources/list",
    member: "resources",
    key: "uri",
    capability: "resources",
    listChanged: "notifications/resources/list_changed",
  },
  templates: {
    method: "resources/templates/list",
    member: "resourceTemplates",
    key: "uriTemplate",
    capability: "resources",
    listChanged: "notifications/resources/list_changed",
  },
};

export const ALL_LISTS: readonly ListKind[] = ["tools", "prompts", "resources", "templates"];

const BY_METHOD: ReadonlyMap<string, ListKind> = new Map(ALL_LISTS.map((kind) => [LIST_KINDS[kind].method, kind]));

/** The list that a method asks for. */
export function listKindOf(method: string): ListKind | undefined {
  return BY_METHOD.get(method);
}

/** Methods of all notifications that a list has changed. */
export const LIST_CHANGES: ReadonlySet<string> = new Set(ALL_LISTS.map((kind) => LIST_KINDS[kind].listChanged));
const LIST_CHANGED: ReadonlySet<unknown> = LIST_CHANGES;

/** Whether a method is that of a notification that a list has changed. */
export function isListChanged(method: unknown): method is string {
  return LIST_CHANGED.has(method);
}
