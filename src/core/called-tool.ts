/** Which tool a message calls, by the name that clients see. Pure. */
import { type Glob, matchesGlob } from "./federation/glob.ts";
import { CALL_TOOL } from "./mcp/methods.ts";
import type { Message } from "./rpc/message.ts";

/** A call without a name is one of all tools (`*`). */
export function callsOneOf(tools: readonly Glob[], message: Message): boolean {
  if (message.kind === "response" || message.method !== CALL_TOOL) return false;
  const name = message.params?.name?.value ?? "";
  return tools.some((tool) => matchesGlob(tool, name));
}
