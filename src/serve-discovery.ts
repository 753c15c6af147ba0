/** What the Envoys are told that follow the configuration, by the process that serves `processor.http`. */
import type { Config } from "./config/load.ts";
import { refusalInWords } from "./discovery/in-words.ts";
import { createOffers, NO_OFFERS, type Offers } from "./discovery/offers.ts";
import { type ConfigurationReport, reportOn } from "./discovery/report.ts";
import { mayBeSeveral } from "./envoy-config/clusters.ts";
import { resourceName, resourcesFor } from "./envoy-config/live.ts";
import type { DiscoveryAnswer, DiscoveryPoll } from "./http/discovery.ts";
import type { Reloader } from "./reload.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { seldomCounted } from "./telemetry/seldom.ts";
import { VERSION } from "./version.ts";

export function openOffers(config: Config, metrics: Pick<Metrics, "envoyRefused">, log: Logger): Offers {
  if (!config.processor.http) return NO_OFFERS;
  const count = seldomCounted();
  return createOffers({
    resources: resourcesFor(config),
    several: mayBeSeveral(config.envoy.discovery.endpoints),
    now: Date.now,
    onRefused(refusal) {
      const { name, version, follows } = refusal;
      metrics.envoyRefused(name);
      // Not by the name of the Envoy: whoever reaches this port has any number of those. /readyz names more.
      const refusals = count(`${name} ${version} ${follows}`);
      if (refusals === 0) return;
      log.error(
        { refused: refusalInWords(refusal), version, ...(refusals > 1 && { refusals }) },
        follows
          ? "Envoy refuses a configuration: its own log says why"
          : "Envoy refuses a configuration, and has never taken one of this router: its own log says why",
      );
    },
  });
}

/** JSON text of what is in force, and of the Envoys that follow it. */
export function configurationOf({ following }: Pick<Offers, "following">, { report }: Pick<Reloader, "report">) {
  return (): string => {
    const told: ConfigurationReport = { version: VERSION, ...report(), ...reportOn(following()) };
    return JSON.stringify(told);
  };
}

/** What an Envoy is answered. */
export function discoveryOf({ answer }: Pick<Offers, "answer">): (poll: DiscoveryPoll) => DiscoveryAnswer {
  return ({ envoy, kind, table, version }) => {
    const answered = answer({ envoy, name: resourceName(kind, table), version });
    return answered.kind === "given" ? { kind: "given", body: answered.resource.body } : answered;
  };
}
