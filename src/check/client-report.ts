/** What `mcp-router check --live` says of what clients get, and of backends whose messages pass as they are. Pure. */
import type { Config } from "../config/load.ts";
import { assertNever } from "../core/assert-never.ts";
import { GATEWAY_UNAVAILABLE } from "../core/codes.ts";
import { type Asked, type NoServer, noServerInWords } from "../init/ask.ts";
import type { Tools } from "../init/tools.ts";
import type { Found } from "./clients.ts";
import { error, type Said } from "./said.ts";

type Identity = Config["identity"];

/** What a client without credentials gets at a route. */
export interface ClientGets {
  /** In words, for the route's lines. undefined: there is only an error to tell. */
  readonly line: string | undefined;
  readonly errors: readonly Said[];
}

/** By path. */
export function clientsGet(found: readonly Found[], identity: Identity): ReadonlyMap<string, ClientGets> {
  return new Map(found.map((one) => [one.of, clientGets(one, identity)]));
}

/** Where Envoy does not answer clients at all it is told once, not for each route. */
export function gatewayAway(found: readonly Found[]): readonly Said[] {
  const away = found.flatMap(({ url, asked }) =>
    asked.kind === "none" && asked.cause.kind === "away" ? [{ origin: new URL(url).origin, why: asked.cause.why }] : [],
  );
  const [first] = away;
  if (!first || away.length < found.length) return [];
  return [
    error(
      `Envoy does not answer clients at ${first.origin} (gateway.listen): ${first.why}: start it with what \`mcp-router envoy\` prints for ` +
        "this file, or router and Envoy by `mcp-router up`",
    ),
  ];
}

function clientGets({ of: path, url, asked }: Found, identity: Identity): ClientGets {
  const isRefused = identity.kind !== "none" && identity.required;
  const told = (line: string): ClientGets => ({ line: `${line} (${url})`, errors: [] });
  const wrong = (text: string): ClientGets => ({ line: undefined, errors: [error(`${path}: ${text} (${url})`)] });
  const without = identity.kind === "header" ? `without ${identity.name}` : "without a token";
  switch (asked.kind) {
    case "server": {
      if (isRefused)
        return wrong(
          `a client ${without} is served, though identity.required is true: something else than this file's router and Envoy answers there`,
        );
      const { tools } = asked;
      if (tools?.kind === "failed")
        return wrong(`a client gets ${serverInWords(asked)}, but not its tools: ${tools.why}`);
      return told(`a client gets: ${[serverInWords(asked), toolsInWords(tools)].filter(Boolean).join(", ")}`);
    }
    case "guarded":
      if (isRefused && asked.status === 401) return told(`a client ${without} gets 401, as it should`);
      if (isRefused || asked.status === 403) return wrong(`a client ${without} gets ${asked.status}`);
      return told(`a client without credentials gets ${asked.status}: its backend wants them`);
    case "none":
      return wrong(`a client's initialize gets ${answerInWords(asked.cause)}${advice(asked.cause)}`);
    default:
      return assertNever(asked);
  }
}

function answerInWords(cause: NoServer): string {
  if (cause.kind === "away") return `no answer: ${cause.why}`;
  const { status, message } = cause;
  return message === undefined ? String(status) : `${status}, "${message}"`;
}

/** What to do where it is not said elsewhere. */
function advice(cause: NoServer): string {
  if (cause.kind === "away") return "";
  if (cause.status === 404)
    return ": the router that Envoy asks has another file, or the backend has no MCP server at its path";
  if (cause.message === GATEWAY_UNAVAILABLE)
    return ": Envoy reaches no router at processor.endpoints: start it with `mcp-router serve`";
  return "";
}

/** What a backend is, through Envoy; undefined where it does not answer. */
function backendInWords(asked: Asked): string | undefined {
  if (asked.kind === "server") return serverInWords(asked);
  return asked.kind === "guarded" ? `answers ${asked.status} without credentials` : undefined;
}

/** The lines of a route that passes everything on. */
export function passingInWords(
  path: string,
  backend: string,
  through: readonly Found[],
  clients: ReadonlyMap<string, string>,
): string {
  const asked = through.find(({ of }) => of === backend)?.asked;
  const is = (asked && backendInWords(asked)) ?? "does not answer";
  const gets = clients.get(path);
  return [path, `  ${backend}: ${is}`, ...(gets === undefined ? [] : [`  ${gets}`]), ""].join("\n");
}

/** Backends that do not answer through Envoy. */
export function backendErrors(through: readonly Found[], itself: ReadonlyMap<string, string>, egress: string): Said[] {
  return through.flatMap(({ of: backend, asked }) => {
    if (asked.kind !== "none") return [];
    return [
      error(
        `backend ${backend} does not answer through ${egress} (egress): ${answerInWords(asked.cause)}${itself.get(backend) ?? ""}`,
      ),
    ];
  });
}

/** What backends say at their own endpoints, for the end of an error, by name. */
export function itselfInWords(found: readonly Found[]): ReadonlyMap<string, string> {
  const words = new Map<string, string>();
  for (const { of: backend, url, asked } of found) {
    const said = asked.kind === "none" ? noServerInWords(asked.cause) : "it answers: Envoy is what does not reach it";
    words.set(backend, `${words.get(backend) ?? ""}; asked at ${url} itself: ${said}`);
  }
  return words;
}

function serverInWords({ name, version, protocol }: Extract<Asked, { kind: "server" }>): string {
  return [[name ?? "a server", version].filter(Boolean).join(" "), `protocol ${protocol}`].join(", ");
}

function toolsInWords(tools: Extract<Tools, { kind: "counted" }> | undefined): string {
  if (!tools) return "";
  const { count, isWhole } = tools;
  return `${isWhole ? "" : "more than "}${count} ${count === 1 ? "tool" : "tools"}`;
}
