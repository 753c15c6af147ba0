/** Metrics and log lines about tools that were not accepted as they are. */
import type { CatalogueEvent } from "../federation/events.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom } from "../telemetry/seldom.ts";

/** Most tools that are told of one by one: a backend may offer any number of new ones. */
const MOST_TOLD = 20;

const WHAT_IS_DONE = {
  hide: "clients do not see it, until `mcp-router pin` accepts it",
  warn: "clients see it all the same; `mcp-router pin` accepts it",
} as const;

/** The lines hold digests, and nothing of what a backend says. */
export function pinObserver(
  metrics: Pick<Metrics, "pinsDiffer">,
  log: Logger,
): (event: Extract<CatalogueEvent, { kind: "pins" }>) => void {
  const isDue = seldom();
  return ({ route, shared, onChange, changed, unknown, news }) => {
    // Principals see different numbers.
    if (shared) metrics.pinsDiffer(route, { changed, new: unknown });
    // There may be many principals.
    if (news.length === 0 || !(shared || isDue(route))) return;
    for (const { tool, backend, digest, accepted } of news.slice(0, MOST_TOLD)) {
      const what = accepted.length > 0 ? "is not what was accepted" : "was never accepted";
      log.warn({ route, tool, backend, digest, accepted }, `a tool ${what}: ${WHAT_IS_DONE[onChange]}`);
    }
    const more = news.length - MOST_TOLD;
    if (more > 0) log.warn({ route, tools: more }, `more tools were not accepted: ${WHAT_IS_DONE[onChange]}`);
  };
}
