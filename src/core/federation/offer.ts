/** Reads what a backend says of itself in its answer to an initialize (MCP 2025-11-25, "Initialization"). Pure. */
import { isJsonObject, parseJson } from "../json/parse.ts";
import { placesOf } from "../json/places.ts";
import { textOf } from "../json/span.ts";

export interface Offer {
  /** Protocol version that it speaks with us. */
  readonly version: string | undefined;
  /** JSON texts of its capabilities, by name. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly instructions: string | undefined;
  /** JSON text; undefined also where it is too long. */
  readonly serverInfo: string | undefined;
}

export type OfferRead =
  | { readonly kind: "offer"; readonly offer: Offer }
  | { readonly kind: "error"; readonly code: number | undefined; readonly message: string }
  | { readonly kind: "unreadable"; readonly why: string };

/** Capabilities that a gateway can do something with: others could not be delivered. */
const CAPABILITIES = [
  "tools",
  "prompts",
  "resources",
  "logging",
  "completions",
  "tasks",
  "extensions",
  "experimental",
] as const;

/**
 * Most characters of one capability. Each client's initialize is answered with those of all backends: a backend must not make that
 * large. A larger one is left out.
 */
const LONGEST_CAPABILITY = 16 * 1024;

/** Most characters of its serverInfo, which may hold icons: it is in answers to clients too. */
const LONGEST_SERVER_INFO = 64 * 1024;

/** A version is a date, and goes into a header. */
const VERSION = /^[\w.-]{1,32}$/;
/** Characters of an error's message that are kept. */
const LONGEST_MESSAGE = 500;

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function readOffer(response: Uint8Array, deepest: number): OfferRead {
  const text = (...path: readonly string[]) => textAt(response, path, deepest);
  const outermost = placesOf(response, [], deepest);
  if (outermost.kind === "unreadable") return { kind: "unreadable", why: "it is not JSON, or nested too deep" };
  const result = objectOf(text("result"));
  const error = objectOf(text("error"));
  if (error) {
    const { code, message } = error;
    return {
      kind: "error",
      code: typeof code === "number" ? code : undefined,
      message: typeof message === "string" ? message.slice(0, LONGEST_MESSAGE) : "",
    };
  }
  if (!result) return { kind: "unreadable", why: "it has neither a result nor an error" };
  const { protocolVersion, instructions } = result;
  const capabilities = new Map<string, string>();
  for (const name of CAPABILITIES) {
    const capability = text("result", "capabilities", name);
    if (capability !== undefined && capability.length <= LONGEST_CAPABILITY && objectOf(capability))
      capabilities.set(name, capability);
  }
  const serverInfo = text("result", "serverInfo");
  return {
    kind: "offer",
    offer: {
      version: typeof protocolVersion === "string" && VERSION.test(protocolVersion) ? protocolVersion : undefined,
      capabilities,
      instructions: typeof instructions === "string" ? instructions : undefined,
      serverInfo: serverInfoIn(serverInfo),
    },
  };
}

/** JSON text of the value at a path; undefined where there is none, or more than one. */
function textAt(bytes: Uint8Array, path: readonly string[], deepest: number): string | undefined {
  const places = placesOf(bytes, path, deepest);
  const [span] = places.kind === "found" ? places.at : [];
  return span && textOf(bytes, span);
}

/** @param text JSON text */
export function serverInfoIn(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= LONGEST_SERVER_INFO && objectOf(text) ? text : undefined;
}

function objectOf(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  const value = text === undefined ? undefined : parseJson(text);
  return isJsonObject(value) ? value : undefined;
}

export function sameOffer(one: Offer | undefined, other: Offer | undefined): boolean {
  if (!one || !other) return one === other;
  return (
    one.version === other.version &&
    one.instructions === other.instructions &&
    one.serverInfo === other.serverInfo &&
    one.capabilities.size === other.capabilities.size &&
    [...one.capabilities].every(([name, text]) => other.capabilities.get(name) === text)
  );
}
