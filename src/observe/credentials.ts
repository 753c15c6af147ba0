/** Metrics and log lines about the credentials of backends. No secret is in any of them. */
import type { ExchangeEvent } from "../credentials/exchanges.ts";
import type { SecretEvent } from "../credentials/secrets.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom } from "../telemetry/seldom.ts";

export function secretObserver(log: Logger): (event: SecretEvent) => void {
  return (event) => {
    const { file, setting } = event;
    if (event.kind === "read-again")
      return log.info({ file, setting }, "a file with a secret has changed, and is in use");
    return log.error({ setting, why: event.why }, "a file with a secret is of no use: its last text stays in use");
  };
}

export function exchangeObserver(metrics: Metrics, log: Logger): (event: ExchangeEvent) => void {
  const isDue = seldom();
  return ({ backend, outcome, why, ms }) => {
    metrics.tokenExchanged(backend, outcome, ms / 1_000);
    const line = { backend, outcome, why, ms: Math.round(ms) };
    if (outcome === "exchanged") return log.debug(line, "a client's token was exchanged");
    if (isDue(`${backend} ${outcome}`))
      return log.warn(line, "a client's token was not exchanged, so its request was not sent");
    return log.debug(line, "a client's token was not exchanged");
  };
}
