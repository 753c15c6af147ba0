/** Where clients of a configuration connect. */
import type { Config } from "../config/load.ts";
import { formatAddress, fromSameMachine } from "../core/address.ts";
import type { Route } from "../core/routes.ts";

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
  return routes.map((route) => `${scheme}://${address}${route.path}  ${serversOf(route).join(", ")}`);
}

/** The names of its backends. */
function serversOf(route: Route): string[] {
  switch (route.kind) {
    case "federated":
      return route.members.map(({ route: { backend } }) => backend.name);
    case "bridged":
      return [route.transparent.backend.name];
    case "transparent":
      return [route.backend.name];
  }
}
