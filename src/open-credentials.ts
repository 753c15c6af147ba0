/** Opens the credentials of backends for one process. */
import type { Config } from "./config/load.ts";
import { createBackendCredentials } from "./credentials/backend-credentials.ts";
import type { BackendCredentials } from "./credentials/credentials.ts";
import { Secrets, secretFilesOfAll } from "./credentials/secrets.ts";
import { secretObserver } from "./observe/credentials.ts";
import type { Logger } from "./telemetry/log.ts";

export interface OpenedCredentials extends BackendCredentials {
  /**
   * Another configuration comes into force: reads the files that it names.
   * @throws where one cannot be used; then those of before stay in use
   */
  reconfigure(config: Pick<Config, "backends">): void;
  close(): void;
}

/** @throws where a file of the configuration cannot be used */
export function openCredentials({ backends }: Pick<Config, "backends">, log: Logger): OpenedCredentials {
  const secrets = new Secrets(secretObserver(log));
  secrets.want(secretFilesOfAll(backends));
  return {
    ...createBackendCredentials({ secrets }),
    reconfigure: (config) => secrets.want(secretFilesOfAll(config.backends)),
    close: () => secrets.close(),
  };
}
