/** `mcp-router check --live`: asks the router itself whether it runs and what it has in force, at `processor.http`. */
import { lookup } from "node:dns/promises";
import type { Config } from "../config/load.ts";
import { formatAddress, fromSameMachine, type TcpAddress } from "../core/address.ts";
import { parseJson } from "../core/json/parse.ts";
import { type ConfigurationReport, configurationReport } from "../discovery/report.ts";
import { get } from "./get.ts";

export interface RouterSays {
  /** `http://host:port`. */
  readonly at: string;
  /** undefined: it does not answer. */
  readonly ready: boolean | undefined;
  /** Why it does not answer, or the further lines of `/readyz`. */
  readonly troubles: readonly string[];
  /** undefined: it does not tell. */
  readonly configuration: ConfigurationReport | undefined;
}

/** Most routers that are asked. */
const MOST_ROUTERS = 20;

/** Where routers are asked: here, and where there are several, at all of them that Envoys ask. Never rejects. */
export async function routersOf({ processor, envoy }: Pick<Config, "processor" | "envoy">): Promise<TcpAddress[]> {
  if (!processor.http) return [];
  const here = fromSameMachine(processor.http);
  const found = (await Promise.all(envoy.discovery.endpoints.map(addressesAt))).flat();
  const all = found.length > 1 ? found : [here];
  return [...new Map(all.map((address) => [formatAddress(address), address])).values()].slice(0, MOST_ROUTERS);
}

/** The addresses of a name that stands for several. */
async function addressesAt({ host, port }: TcpAddress): Promise<TcpAddress[]> {
  // Two addresses of one router.
  if (host === "localhost") return [{ host, port }];
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.map(({ address }) => ({ host: address, port }));
}

/** Never rejects. @param address of `processor.http` */
export async function askRouter(address: TcpAddress): Promise<RouterSays> {
  const at = `http://${formatAddress(address)}`;
  const [readiness, configuration] = await Promise.all([get(`${at}/readyz`), get(`${at}/configuration`)]);
  if ("why" in readiness) return { at, ready: undefined, troubles: [readiness.why], configuration: undefined };
  const [, ...troubles] = readiness.body.split("\n").filter((text) => text !== "");
  const report =
    "status" in configuration && configuration.status === 200
      ? configurationReport.safeParse(parseJson(configuration.body))
      : undefined;
  return { at, ready: readiness.status === 200, troubles, configuration: report?.data };
}
