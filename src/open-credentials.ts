/** Opens the credentials of backends for one process. */
import type { Config } from "./config/load.ts";
import type { Credentials } from "./core/credentials.ts";
import { createBackendCredentials } from "./credentials/backend-credentials.ts";
import type { BackendCredentials } from "./credentials/credentials.ts";
import { Exchanges } from "./credentials/exchanges.ts";
import { Secrets, secretFilesOfAll } from "./credentials/secrets.ts";
import { createTokenServer } from "./credentials/token-server.ts";
import { exchangeObserver, secretObserver } from "./observe/credentials.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface OpenedCredentials extends BackendCredentials {
  /**
   * Another configuration comes into force: reads the files that it names.
   * @throws where one cannot be used; then those of before stay in use
   */
  reconfigure(config: Pick<Config, "backends" | "limits">): void;
  close(): Promise<void>;
}

/** @throws where a file of the configuration cannot be used */
export function openCredentials(
  { backends, limits: started }: Pick<Config, "backends" | "limits">,
  metrics: Metrics,
  log: Logger,
): OpenedCredentials {
  let limits = started;
  let byName = credentialsByName(backends);
  const secrets = new Secrets(secretObserver(log));
  secrets.want(secretFilesOfAll(backends));
  const server = createTokenServer(secrets);
  const exchanges = new Exchanges({
    server,
    limits: () => ({ count: limits.exchangedTokens, bytes: limits.exchangedTokenBytes }),
    observe: exchangeObserver(metrics, log),
  });
  metrics.exchangedTokens(() => exchanges.cached.size);
  return {
    ...createBackendCredentials({ secrets, exchanges }),
    inForce: ({ name, credentials }) => byName.get(name) ?? credentials,
    reconfigure(config) {
      secrets.want(secretFilesOfAll(config.backends));
      limits = config.limits;
      byName = credentialsByName(config.backends);
    },
    async close() {
      secrets.close();
      await server.close();
    },
  };
}

function credentialsByName(backends: Config["backends"]): ReadonlyMap<string, Credentials> {
  return new Map(backends.map(({ name, credentials }) => [name, credentials]));
}
