/** From the names of backends in the routes to the backends. Pure. */
import { publicPath } from "../core/public-path.ts";
import type { TransparentRoute } from "../core/routes.ts";
import type { BackendConfig } from "./backends.ts";
import { shown, withoutSecrets } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

/** A public path (core/public-path.ts), transparent to one backend. */
export interface RouteConfig extends TransparentRoute {
  readonly backend: BackendConfig;
}

interface Routes {
  /** Those that have no error. */
  readonly routes: readonly RouteConfig[];
  readonly errors: readonly string[];
}

export function routesTo(backends: readonly BackendConfig[], written: RawConfig["routes"]): Routes {
  const byName = new Map(backends.map((backend) => [backend.name, backend]));
  const listed = [...byName.keys()].join(", ");
  const routes: RouteConfig[] = [];
  const errors: string[] = [];
  const byPath = new Map<string, number>();
  written.forEach((route, index) => {
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
        `${where}.path: got "${route.path}", which routes[${first}] has already; a slash at the end makes no other path`,
      );
    const [backend] = found;
    if (route.backends.length > 1) errors.push(notBuiltYet(`${where}.backends`, route.backends));
    else if (backend) routes.push({ kind: "transparent", path, sessions: route.sessions, backend });
  });
  return { routes, errors };
}

/** A federated route: known to the design, and refused by name, never ignored. */
function notBuiltYet(where: string, names: readonly string[]): string {
  return `${where}: "${names.map(withoutSecrets).join(", ")}" is not built yet; a federated route: name one backend for each route`;
}
