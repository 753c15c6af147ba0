/** `mcp-router check` with `policy`: asks the backends of all routes what they offer, by the names that clients see. */

import { bridgedRoute } from "../config/federated.ts";
import type { Config } from "../config/load.ts";
import { federationOf, type Route } from "../core/routes.ts";
import type { CatalogueReport } from "../federation/report.ts";
import { askBackends } from "./live.ts";
import { idlePatterns, mayDo } from "./policy-report.ts";
import { line, type Said } from "./said.ts";

/**
 * Never rejects.
 * @param claims of whom it is told what they may do; undefined: of nobody
 * @param isLive whether what runs is asked
 */
export async function policySaid(
  config: Config,
  claims: Readonly<Record<string, unknown>> | undefined,
  isLive: boolean,
): Promise<readonly Said[]> {
  const report = isLive && config.policy ? await askAll(config) : undefined;
  return [...(report ? idlePatterns(config, report) : []), ...(claims ? [line(mayDo(config, claims, report))] : [])];
}

/** A route that passes messages on has no lists of its own: its backend is asked as where the router stands for it. */
function askAll(config: Config): Promise<CatalogueReport> {
  const { backends, lists } = config;
  const routes = config.routes.map((route): Route => {
    const backend = route.kind === "transparent" && backends.find(({ name }) => name === route.backend.name);
    return route.kind === "transparent" && backend ? bridgedRoute(route, backend, { lists, streams: false }) : route;
  });
  return askBackends(
    { ...config, routes },
    routes.flatMap((route) => federationOf(route) ?? []),
  );
}
