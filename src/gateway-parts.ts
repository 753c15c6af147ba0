/** What the parts of one process's gateway are built from. */
import type { Config } from "./config/load.ts";
import type { BackendCredentials } from "./credentials/credentials.ts";
import type { ConfigInForce } from "./reload.ts";
import type { SharedState } from "./shared-state.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface GatewayParts {
  /** The configuration that the process was started with. */
  readonly config: Config;
  readonly inForce: ConfigInForce;
  readonly shared: SharedState;
  readonly credentials: BackendCredentials;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Gets a release for each resource that is opened. */
  readonly started: AsyncDisposableStack;
}
