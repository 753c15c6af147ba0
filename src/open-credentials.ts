/** Opens the credentials of backends for one process. */
import type { Config } from "./config/load.ts";
import { ConfigError } from "./config/read.ts";
import { type Credentialed, type Credentials, secretFilesOf } from "./core/credentials.ts";
import { createBackendCredentials } from "./credentials/backend-credentials.ts";
import type { BackendCredentials } from "./credentials/credentials.ts";
import { Exchanges } from "./credentials/exchanges.ts";
import { Secrets, secretFaults } from "./credentials/secrets.ts";
import { createTokenServer } from "./credentials/token-server.ts";
import { exchangeObserver, secretObserver } from "./observe/credentials.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

interface StartingSecrets {
  /** The configuration's. */
  readonly file: string;
  readonly config: { readonly backends: readonly Credentialed[] };
  /** Number of this worker, whose primary has looked at the files: one that is gone since then must not keep it from other backends. */
  readonly worker: number | undefined;
}

/** @throws ConfigError where a file cannot be used */
export function openSecrets({ file, config, worker }: StartingSecrets, log: Logger): Secrets {
  const faults = worker === undefined ? secretFaults(config.backends) : [];
  if (faults.length > 0) throw new ConfigError(file, faults);
  const secrets = new Secrets(secretObserver(log));
  secrets.want(secretFilesOf(config.backends));
  return secrets;
}

interface Starting extends StartingSecrets {
  readonly config: Pick<Config, "backends" | "limits">;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface OpenedCredentials extends BackendCredentials, Pick<Secrets, "lacks"> {
  /** Another configuration comes into force: reads the files that it names. */
  reconfigure(config: Pick<Config, "backends" | "limits">): void;
}

/**
 * @param started ends what is opened
 * @throws ConfigError where a file cannot be used
 */
export function openCredentials(
  start: Starting,
  logOfFiles: Logger,
  started: Pick<AsyncDisposableStack, "defer">,
): OpenedCredentials {
  const { config, metrics, log } = start;
  let { limits } = config;
  let byName = credentialsByName(config.backends);
  const secrets = openSecrets(start, logOfFiles);
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
    reconfigure(changed) {
      secrets.want(secretFilesOf(changed.backends));
      limits = changed.limits;
      byName = credentialsByName(changed.backends);
    },
  };
}

function credentialsByName(backends: Config["backends"]): ReadonlyMap<string, Credentials> {
  return new Map(backends.map(({ name, credentials }) => [name, credentials]));
}
