/** `mcp-router check --live`: whether what runs is what the file says. */

import { digestsOf } from "../config/digests.ts";
import type { Config } from "../config/load.ts";
import { formatAddress } from "../core/address.ts";
import { federationOf } from "../core/routes.ts";
import { VERSION } from "../version.ts";
import { askBackends } from "./live.ts";
import { liveFindings } from "./live-report.ts";
import { askRouter, routersOf } from "./router.ts";
import { routerFindings } from "./router-report.ts";
import { error, line, type Said, warning } from "./said.ts";

/** Asks all that runs. Never rejects. @param text of the file */
export async function checkLive(config: Config, text: string): Promise<readonly Said[]> {
  return [...(await routersSaid(config, text)), ...(await backendsSaid(config))];
}

async function routersSaid(config: Config, text: string): Promise<readonly Said[]> {
  const addresses = await routersOf(config);
  if (addresses.length === 0) return [line("router: not asked whether it runs, since processor.http is not set")];
  const says = await Promise.all(addresses.map(askRouter));
  const checked = { sections: digestsOf(text), version: VERSION };
  return says.flatMap((router) => routerFindings(router, checked));
}

async function backendsSaid(config: Config): Promise<readonly Said[]> {
  const federated = config.routes.flatMap((route) => federationOf(route) ?? []);
  if (federated.length === 0) return [warning("no route is federated, or has era: bridge, so no backend was asked")];
  const report = await askBackends(config, federated);
  const { text, errors, warnings } = liveFindings(report, federated, formatAddress(config.egress.address));
  return [...warnings.map(warning), ...errors.map(error), line(text.trimEnd())];
}
