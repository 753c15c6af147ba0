/** The credentials of all backends, by what their configuration says. */
import { assertNever } from "../core/assert-never.ts";
import type { HeaderCredentials } from "../core/credentials.ts";
import { type BackendCredentials, type Credential, held, NOTHING_ADDED } from "./credentials.ts";
import type { Exchanges } from "./exchanges.ts";
import type { Secrets } from "./secrets.ts";

export interface BackendCredentialsOptions {
  readonly secrets: Pick<Secrets, "textOf">;
  readonly exchanges: Pick<Exchanges, "of">;
}

export function createBackendCredentials({ secrets, exchanges }: BackendCredentialsOptions): BackendCredentials {
  return {
    of({ name, credentials }, authorization) {
      switch (credentials.kind) {
        case "forward":
        case "none":
          return NOTHING_ADDED;
        case "header":
          return headerOf(credentials, secrets);
        case "exchange":
          return exchanges.of(name, credentials, authorization);
        default:
          return assertNever(credentials);
      }
    },
  };
}

function headerOf({ name, file, prefix }: HeaderCredentials, secrets: Pick<Secrets, "textOf">): Credential {
  const text = secrets.textOf("header", file);
  // A worker may start without it, and a request under way may be of a configuration that is in force no more.
  if (text === undefined) return { kind: "none", why: `${file} is not read`, retryAfter: 1 };
  return held([[name, prefix + text]]);
}
