/** `mcp-router check --live`: whether what runs is what the file says. */

import { digestsOf } from "../config/digests.ts";
import type { Config } from "../config/load.ts";
import { formatAddress, fromSameMachine } from "../core/address.ts";
import { parseJson } from "../core/json/parse.ts";
import { federationOf } from "../core/routes.ts";
import type { ConfigurationReport } from "../discovery/report.ts";
import { VERSION } from "../version.ts";
import { backendErrors, clientsGet, gatewayAway, itselfInWords, passingInWords } from "./client-report.ts";
import { askAsClient, askThemselves, askThroughEgress } from "./clients.ts";
import { runsWith } from "./envoy-dump.ts";
import { envoyFindings } from "./envoy-report.ts";
import { get } from "./get.ts";
import { askBackends } from "./live.ts";
import { liveFindings, silentBackends } from "./live-report.ts";
import { askRouter, type RouterSays, routersOf } from "./router.ts";
import { routerFindings } from "./router-report.ts";
import { error, line, type Said, warning } from "./said.ts";

/** Asks all that runs. Never rejects. @param text of the file */
export async function checkLive(config: Config, text: string): Promise<readonly Said[]> {
  const routers = await Promise.all((await routersOf(config)).map(askRouter));
  const reports = routers.flatMap(({ configuration }) => configuration ?? []);
  return [...routersSaid(routers, text), ...(await envoySaid(config, reports)), ...(await servedSaid(config))];
}

/** Its admin listener is mostly out of reach from other machines, so that it does not answer is no error. */
async function envoySaid(config: Config, reports: readonly ConfigurationReport[]): Promise<readonly Said[]> {
  if (!config.envoy.admin) return [line("Envoy: not asked what it runs with, since envoy.admin is not set")];
  const at = formatAddress(fromSameMachine(config.envoy.admin));
  const got = await get(`http://${at}/config_dump`);
  const why = "why" in got ? got.why : `it answers ${got.status}`;
  const runs = "why" in got ? undefined : runsWith(parseJson(got.body));
  if (!runs) return [warning(`Envoy does not tell what it runs with at ${at} (envoy.admin): ${why}`)];
  return envoyFindings(runs, config, at, reports);
}

function routersSaid(routers: readonly RouterSays[], text: string): readonly Said[] {
  if (routers.length === 0) return [line("router: not asked whether it runs, since processor.http is not set")];
  const checked = { sections: digestsOf(text), version: VERSION };
  return routers.flatMap((router) => routerFindings(router, checked));
}

/** The backends, what clients get, and what they would see. */
async function servedSaid(config: Config): Promise<readonly Said[]> {
  const federated = config.routes.flatMap((route) => federationOf(route) ?? []);
  const passing = config.routes.filter((route) => route.kind === "transparent");
  const passedTo = config.backends.filter(({ name }) => passing.some(({ backend }) => backend.name === name));
  const [found, through, report] = await Promise.all([
    askAsClient(config),
    askThroughEgress(config, passedTo),
    askBackends(config, federated),
  ]);
  const heard = report.backends.map(({ backend }) => backend);
  const silent = [
    ...silentBackends(report),
    ...through.flatMap(({ of, asked }) => (asked.kind === "none" ? [of] : [])),
  ];
  const itself = itselfInWords(await askThemselves(config.backends.filter(({ name }) => silent.includes(name))));
  const away = gatewayAway(found);
  const clients = clientsGet(found, config.identity);
  const lines = new Map([...clients].flatMap(([path, { line: text }]) => (text === undefined ? [] : [[path, text]])));
  const egress = formatAddress(config.egress.address);
  const { text, errors, warnings } = liveFindings(report, federated, { egress, clients: lines, itself });
  return [
    ...warnings.map(warning),
    ...(away.length > 0 ? away : [...clients.values()].flatMap((gets) => gets.errors)),
    // What is asked for its lists tells of itself with them.
    ...backendErrors(
      through.filter(({ of }) => !heard.includes(of)),
      itself,
      egress,
    ),
    ...errors.map(error),
    line(
      [...passing.map(({ path, backend }) => passingInWords(path, backend.name, through, lines)), text]
        .join("\n")
        .trimEnd(),
    ),
  ];
}
