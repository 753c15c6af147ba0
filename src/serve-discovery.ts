/** What the Envoys are told that follow the configuration, by the process that serves `processor.http`. */
import type { Config } from "./config/load.ts";
import { createOffers, NO_OFFERS, type Offers } from "./discovery/offers.ts";
import { mayBeSeveral } from "./envoy-config/clusters.ts";
import { resourceName, resourcesFor } from "./envoy-config/live.ts";
import type { DiscoveryAnswer, DiscoveryPoll } from "./http/discovery.ts";
import { inWords } from "./reload.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export function openOffers(config: Config, metrics: Pick<Metrics, "envoyRefused">, log: Logger): Offers {
  if (!config.processor.http) return NO_OFFERS;
  return createOffers({
    resources: resourcesFor(config),
    several: mayBeSeveral(config.envoy.discovery.endpoints),
    now: Date.now,
    onRefused(refusal) {
      metrics.envoyRefused(refusal.name);
      log.error(
        { refused: inWords(refusal), version: refusal.version },
        "Envoy refuses a configuration: its own log says why",
      );
    },
  });
}

/** What an Envoy is answered. */
export function discoveryOf({ answer }: Pick<Offers, "answer">): (poll: DiscoveryPoll) => DiscoveryAnswer {
  return ({ envoy, kind, table, version }) => {
    const answered = answer({ envoy, name: resourceName(kind, table), version });
    return answered.kind === "given" ? { kind: "given", body: answered.resource.body } : answered;
  };
}
