/** `mcp-router check --live`: asks at each route's URL as a client does, and each backend of routes that pass everything on. */
import { Agent } from "undici";
import type { BackendConfig } from "../config/backends.ts";
import type { Config } from "../config/load.ts";
import { formatAddress, fromSameMachine } from "../core/address.ts";
import { OWN_CLIENT_ID_PREFIX, X_CLIENT_ID, X_MCP_BACKEND } from "../core/headers.ts";
import { type Asked, askServer } from "../init/ask.ts";
import { VERSION } from "../version.ts";
import { routersOwnCredentials } from "./credentials.ts";

/** Most routes, or backends, that are asked at once. */
const AT_ONCE = 10;
/** Most endpoints of a backend that are asked themselves. */
const MOST_ENDPOINTS = 3;

/** What was found at a URL, on behalf of a route or a backend. */
export interface Found {
  /** Path of the route, or name of the backend. */
  readonly of: string;
  readonly url: string;
  readonly asked: Asked;
}

/** As a client without credentials. Whether clients trust the certificate is theirs to say. Never rejects. */
export async function askAsClient({ gateway, routes }: Config): Promise<readonly Found[]> {
  const [host] = gateway.hosts ?? [];
  const name = host?.replace(/:\d+$/, "");
  const servername = name !== undefined && /[a-z]/.test(name) && !name.startsWith("[") ? name : undefined;
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false, ...(servername && { servername }) } });
  const base = `${gateway.tls ? "https" : "http"}://${formatAddress(fromSameMachine(gateway.listen))}`;
  const headers = host === undefined ? {} : { host };
  const found = await inTurns(routes, async ({ path }) => {
    const url = `${base}${path}`;
    return { of: path, url, asked: await askServer({ url, version: VERSION, headers, dispatcher, withTools: true }) };
  });
  await dispatcher.destroy();
  return found;
}

/** Through Envoy's egress listener, as the router does. Never rejects. */
export function askThroughEgress(config: Config, backends: readonly BackendConfig[]): Promise<readonly Found[]> {
  const base = `http://${formatAddress(config.egress.address)}`;
  const credentials = routersOwnCredentials(config);
  return inTurns(backends, async (backend) => {
    const { name, path } = backend;
    const url = `${base}${path}`;
    const credential = await credentials.of(backend, undefined);
    const added = credential.kind === "held" ? Object.fromEntries(credential.headers) : {};
    const headers = { ...added, [X_MCP_BACKEND]: name, [X_CLIENT_ID]: `${OWN_CLIENT_ID_PREFIX}list` };
    return { of: name, url, asked: await askServer({ url, version: VERSION, headers }) };
  });
}

/** At their own endpoints, without Envoy. Those with TLS, whose settings are Envoy's, are left out. Never rejects. */
export async function askThemselves(backends: readonly BackendConfig[]): Promise<readonly Found[]> {
  const endpoints = backends.flatMap(({ name, path, host, tls, endpoints }) =>
    tls ? [] : endpoints.slice(0, MOST_ENDPOINTS).map((endpoint) => ({ name, path, host, endpoint })),
  );
  return inTurns(endpoints, async ({ name, path, host, endpoint }) => {
    const url = `http://${formatAddress(endpoint)}${path}`;
    const headers = host === undefined ? {} : { host };
    return { of: name, url, asked: await askServer({ url, version: VERSION, headers }) };
  });
}

async function inTurns<Item, Done>(items: readonly Item[], one: (item: Item) => Promise<Done>): Promise<Done[]> {
  const done: Done[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE)
    done.push(...(await Promise.all(items.slice(from, from + AT_ONCE).map(one))));
  return done;
}
