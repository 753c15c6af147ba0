/** The members of a JSON-RPC message that are read, and what makes them one message. Pure. */
import { ENVELOPE_CAPABILITIES, ENVELOPE_VERSION } from "./message.ts";

/**
 * The members that are read. Each may be there once: of two, another parser may take the other one, and then what was
 * checked here is not what runs there. For the same reason none may be there in other case, even alone: Go's encoding/json
 * and C#'s web defaults read "Name" as name; parsers in C may end a key at U+0000. Members that are not listed are not looked at, and go through as they are.
 */
export const MESSAGE_MEMBERS = ["jsonrpc", "method", "id", "params", "result", "error"] as const;
export const PARAMS_MEMBERS = ["name", "uri", "taskId", "protocolVersion", "_meta"] as const;
export const META_MEMBERS = [ENVELOPE_VERSION, ENVELOPE_CAPABILITIES] as const;

/** A bit for each member of a message that was seen. */
export const METHOD = 1 << MESSAGE_MEMBERS.indexOf("method");
const ID = 1 << MESSAGE_MEMBERS.indexOf("id");
export const RESULT = 1 << MESSAGE_MEMBERS.indexOf("result");
export const ERROR = 1 << MESSAGE_MEMBERS.indexOf("error");

export const ID_RULE = "id must be a string or a number";

/** What makes these members together no JSON-RPC 2.0 message. */
export function flawOf(seen: number, id: string | undefined): string | undefined {
  const hasResult = (seen & RESULT) !== 0;
  const hasError = (seen & ERROR) !== 0;
  if ((seen & METHOD) !== 0) {
    if (hasResult || hasError) return "a message with a method has no result and no error";
    return (seen & ID) !== 0 && id === undefined ? ID_RULE : undefined;
  }
  if (hasResult && hasError) return "a response has a result or an error, not both";
  if (hasResult && id === undefined) return "a response with a result must have an id";
  return hasResult || hasError ? undefined : "a message has a method, a result or an error";
}
