/** Which requests are answered by a list. Pure. */
import type { Message } from "../rpc/message.ts";

/** Requests whose answers hold no list, and may be longer than what is held. */
const WITHOUT_LISTS: ReadonlySet<string> = new Set([
  "ping",
  "logging/setLevel",
  "tools/call",
  "prompts/get",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "completion/complete",
  "server/discover",
]);

/** A method that is not known here may be. */
export function mayBringList(message: Message): boolean {
  return message.kind === "request" && !WITHOUT_LISTS.has(message.method);
}
