/** The credentials of backends for `mcp-router check --live`, as far as they are not a client's. */
import type { Config } from "../config/load.ts";
import { createBackendCredentials } from "../credentials/backend-credentials.ts";
import { type BackendCredentials, NOTHING_ADDED } from "../credentials/credentials.ts";
import { textsOf } from "../credentials/secrets.ts";

/** Reads each file once. `check` has said what is wrong with those that cannot be read. */
export function routersOwnCredentials({ backends }: Pick<Config, "backends">): BackendCredentials {
  return createBackendCredentials({ secrets: textsOf(backends), exchanges: { of: () => NOTHING_ADDED } });
}
