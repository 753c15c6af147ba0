/** Where clients of a configuration connect. */
import type { Config } from "../config/load.ts";
import { formatAddress, fromSameMachine } from "../core/address.ts";
import { backendsOf } from "../core/routes.ts";

/** Prints the URL of each route, with its servers, that the configuration before did not have. */
export function createUrlPrinter(say: (line: string) => void): (config: Config) => void {
  let before: ReadonlySet<string> = new Set();
  return (config) => {
    const lines = new Set(urlsOf(config));
    for (const line of lines) if (!before.has(line)) say(line);
    before = lines;
  };
}

function urlsOf({ gateway, routes }: Config): string[] {
  const scheme = gateway.tls ? "https" : "http";
  const address = formatAddress(fromSameMachine(gateway.listen));
  return routes.map((route) => {
    const servers = backendsOf(route).map(({ name }) => name);
    return `${scheme}://${address}${route.path}  ${servers.join(", ")}`;
  });
}
