/** JSON-RPC messages. Where their bytes matter a test writes them down. */

export function requestMessage(method: string, params?: object, id: unknown = 1): object {
  return { jsonrpc: "2.0", id, method, params };
}

export function notificationMessage(method: string, params?: object): object {
  return { jsonrpc: "2.0", method, params };
}

export function resultMessage(id: unknown, result: object = {}): object {
  return { jsonrpc: "2.0", id, result };
}

/** Members in the order of the TypeScript SDK, which says null where it knows no id. */
export function errorMessage(code: number, message: string, id: unknown = null): object {
  return { jsonrpc: "2.0", error: { code, message }, id };
}

/** What the TypeScript SDK's servers say, with 404. */
export const SESSION_NOT_FOUND = errorMessage(-32001, "Session not found");
