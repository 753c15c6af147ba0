/** The lists that a subscriptions/listen (MCP 2026-07-28) may be for. Pure. */
import { isJsonObject, parseJson } from "../json/parse.ts";
import { LIST_KINDS, type ListKind } from "./kinds.ts";
import type { Offer } from "./offer.ts";

/** Members of the request's filter, and the capability of a server that tells of it. */
const CAPABILITY_OF = {
  toolsListChanged: "tools",
  promptsListChanged: "prompts",
  resourcesListChanged: "resources",
} as const;

export type ListFlag = keyof typeof CAPABILITY_OF;

export const LIST_FLAGS: readonly ListFlag[] = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];

export function capabilityOf(flag: ListFlag): string {
  return CAPABILITY_OF[flag];
}

/** The filter for the lists of whose changes a backend tells, as JSON text; undefined for none. */
export function listsToHear({ capabilities }: Pick<Offer, "capabilities">): string | undefined {
  const told = LIST_FLAGS.filter((flag) => saysTrue(capabilities, capabilityOf(flag), "listChanged"));
  return told.length === 0 ? undefined : JSON.stringify(Object.fromEntries(told.map((flag) => [flag, true])));
}

/** Whether a backend tells its clients when a list has changed. */
export function tellsOf(list: ListKind, { capabilities }: Pick<Offer, "capabilities">): boolean {
  return saysTrue(capabilities, LIST_KINDS[list].capability, "listChanged");
}

/** Whether a backend has a capability with this member in it, whose value is true. */
export function saysTrue(capabilities: Offer["capabilities"], name: string, member: string): boolean {
  return memberOf(capabilities, name, member) === true;
}

/** Whether a backend has a capability with this member in it. */
export function hasMember(capabilities: Offer["capabilities"], name: string, member: string): boolean {
  return memberOf(capabilities, name, member) !== undefined;
}

function memberOf(capabilities: Offer["capabilities"], name: string, member: string): unknown {
  const capability = parseJson(capabilities.get(name) ?? "");
  return isJsonObject(capability) && Object.hasOwn(capability, member) ? capability[member] : undefined;
}
