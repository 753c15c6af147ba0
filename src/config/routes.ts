/** Resolves the names of backends in routes, and what kind of route each is. Pure. */
import { publicPath } from "../core/public-path.ts";
import type { Route, TransparentRoute } from "../core/routes.ts";
import type { BackendConfig } from "./backends.ts";
import { bridgedRoute, federatedRoute, isFederated, notFederated } from "./federated.ts";
import { shown } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

interface Routes {
  /** The routes without errors. */
  readonly routes: readonly Route[];
  readonly errors: readonly string[];
}

export function routesTo(
  backends: readonly BackendConfig[],
  raw: Pick<RawConfig, "routes" | "lists" | "processor">,
): Routes {
  const streams = raw.processor.streams !== undefined;
  const byName = new Map(backends.map((backend) => [backend.name, backend]));
  const listed = [...byName.keys()].join(", ");
  const routes: Route[] = [];
  const errors: string[] = [];
  const byPath = new Map<string, number>();
  raw.routes.forEach((route, index) => {
    const where = `routes[${index}]`;
    const found: BackendConfig[] = [];
    for (const name of route.backends) {
      const backend = byName.get(name);
      if (backend) found.push(backend);
      else errors.push(`${where}.backends: got ${shown(name, [])}, expected one of the backends: ${listed}`);
    }
    const path = publicPath(route.path);
    const first = byPath.get(path);
    if (first === undefined) byPath.set(path, index);
    else
      errors.push(
        `${where}.path: got "${route.path}", which routes[${first}] already has; a trailing slash makes no difference`,
      );
    if (isFederated(route)) {
      const made = federatedRoute({ where, path, written: route, backends: found, lists: raw.lists, streams });
      errors.push(...made.errors);
      routes.push(made.route);
      return;
    }
    errors.push(...notFederated(where, route));
    const [backend] = found;
    if (!backend) return;
    const sessions = route.sessions ?? "optional";
    const transparent: TransparentRoute = { kind: "transparent", path, sessions, backend };
    const isBridged = route.era === "bridge";
    routes.push(isBridged ? bridgedRoute(transparent, backend, { lists: raw.lists, streams }) : transparent);
  });
  return { routes, errors };
}
