/** Log lines about the credentials of backends. No secret is in any of them. */
import type { SecretEvent } from "../credentials/secrets.ts";
import type { Logger } from "../telemetry/log.ts";

export function secretObserver(log: Logger): (event: SecretEvent) => void {
  return (event) => {
    const { file, setting } = event;
    if (event.kind === "read-again")
      return log.info({ file, setting }, "a file with a secret has changed, and is in use");
    return log.error({ setting, why: event.why }, "a file with a secret is of no use: its last text stays in use");
  };
}
