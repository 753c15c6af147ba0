/** The metrics about tokens that are exchanged for clients. */
import { Gauge, Histogram, type Registry } from "prom-client";

export interface CredentialMetrics {
  /** A client's token was exchanged, or was not. */
  tokenExchanged(backend: string, outcome: string, seconds: number): void;
  /** Registers the gauge of tokens. @param kept reads how many there are */
  exchangedTokens(kept: () => number): void;
}

export function credentialMetrics(registry: Registry): CredentialMetrics {
  const registers = [registry];
  const exchanges = new Histogram({
    name: "mcp_router_token_exchange_seconds",
    help: "Time in which token endpoints were asked for clients' tokens at backends, by outcome",
    labelNames: ["backend", "outcome"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  return {
    tokenExchanged: (backend, outcome, seconds) => exchanges.observe({ backend, outcome }, seconds),
    exchangedTokens(kept) {
      new Gauge({
        name: "mcp_router_exchanged_tokens",
        help: "Tokens of clients at backends that are kept",
        registers,
        collect() {
          this.set(kept());
        },
      });
    },
  };
}
