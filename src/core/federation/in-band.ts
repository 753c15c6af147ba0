/** The answer of one backend of several to one request, where its status is no success. Pure. */
import { ByteCollector } from "../bytes.ts";
import type { BodyRewriter } from "../http.ts";
import { parseJson } from "../json/parse.ts";

/** Most bytes of a backend's own words that go on. */
const LARGEST_ERROR = 64 * 1024;

const NOTHING = new Uint8Array(0);

/**
 * Passes a backend's own JSON-RPC error to this request on as it came, and replaces everything else: a client of several servers
 * gets one call's failure as that call's error, whatever the backend's status was.
 * @param id JSON text of the request's id
 * @param otherwise the JSON-RPC error in place of other words
 */
export function errorInBand(id: string, otherwise: string): BodyRewriter {
  const body = new ByteCollector();
  let tooLarge = false;
  return {
    write(chunk) {
      tooLarge ||= body.length + chunk.length > LARGEST_ERROR;
      if (tooLarge) body.take();
      else body.append(chunk);
      return NOTHING;
    },
    end() {
      const bytes = body.take();
      const isOwn = !tooLarge && isErrorTo(id, new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
      return isOwn ? bytes : new TextEncoder().encode(otherwise);
    },
  };
}

/** Whether a text is a JSON-RPC 2.0 error in answer to the request. */
export function isErrorTo(id: string, text: string): boolean {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { jsonrpc, error, id: answered } = value as Readonly<Record<string, unknown>>; // Safe: an object that is no array.
  const isError = jsonrpc === "2.0" && typeof error === "object" && error !== null;
  return isError && JSON.stringify(answered) === JSON.stringify(parseJson(id));
}
