/** Opens the credentials of backends for one process. */
import type { Config } from "./config/load.ts";
import type { Credentials } from "./core/credentials.ts";
import { createBackendCredentials } from "./credentials/backend-credentials.ts";
import type { BackendCredentials } from "./credentials/credentials.ts";
import { Exchanges } from "./credentials/exchanges.ts";
import { type Secrets, secretFilesOfAll } from "./credentials/secrets.ts";
import { createTokenServer } from "./credentials/token-server.ts";
import { exchangeObserver } from "./observe/credentials.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface OpenedCredentials extends BackendCredentials, Pick<Secrets, "lacks"> {
  /** Another configuration comes into force: reads the files that it names. */
  reconfigure(config: Pick<Config, "backends" | "limits">): void;
}

interface CredentialDependencies {
  /** They hold the files of the configuration, and are closed with it all. */
  readonly secrets: Secrets;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Ends what is opened. */
  readonly started: Pick<AsyncDisposableStack, "defer">;
}

export function openCredentials(
  { backends, limits: atStart }: Pick<Config, "backends" | "limits">,
  { secrets, metrics, log, started }: CredentialDependencies,
): OpenedCredentials {
  let limits = atStart;
  let byName = credentialsByName(backends);
  const server = createTokenServer(secrets);
  started.defer(async () => {
    secrets.close();
    await server.close();
  });
  const exchanges = new Exchanges({
    server,
    limits: () => ({ count: limits.exchangedTokens, bytes: limits.exchangedTokenBytes }),
    observe: exchangeObserver(metrics, log),
  });
  metrics.exchangedTokens(() => exchanges.kept);
  return {
    ...createBackendCredentials({ secrets, exchanges }),
    lacks: (all) => secrets.lacks(all),
    inForce: ({ name, credentials }) => byName.get(name) ?? credentials,
    reconfigure(config) {
      secrets.want(secretFilesOfAll(config.backends));
      limits = config.limits;
      byName = credentialsByName(config.backends);
    },
  };
}

function credentialsByName(backends: Config["backends"]): ReadonlyMap<string, Credentials> {
  return new Map(backends.map(({ name, credentials }) => [name, credentials]));
}
