/** The answer of one backend of several to one request, where its status is no success. Pure. */
import { ByteCollector } from "../bytes.ts";
import type { BodyRewriter } from "../http.ts";
import { isJsonObject, parseJson } from "../json/parse.ts";

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
      const own = tooLarge ? undefined : errorTo(id, new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
      return own ? bytes : new TextEncoder().encode(otherwise);
    },
  };
}

/** The JSON-RPC 2.0 error to the request that a text is; undefined where it is none. */
export function errorTo(id: string, text: string): { readonly message: string } | undefined {
  const value = parseJson(text);
  if (!isJsonObject(value) || value.jsonrpc !== "2.0" || !isJsonObject(value.error)) return undefined;
  if (JSON.stringify(value.id) !== JSON.stringify(parseJson(id))) return undefined;
  const { message } = value.error;
  return { message: typeof message === "string" ? message : "" };
}
