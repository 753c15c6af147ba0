/** Resolves the names of backends in routes. Pure. */
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
  /** The routes without errors. */
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
        `${where}.path: got "${route.path}", which routes[${first}] already has; a trailing slash makes no difference`,
      );
    const [backend] = found;
    if (route.backends.length > 1) errors.push(notBuiltYet(`${where}.backends`, route.backends));
    else if (backend) routes.push({ kind: "transparent", path, sessions: route.sessions, backend });
  });
  return { routes, errors };
}

/** A federated route is refused by name and never ignored. */
function notBuiltYet(where: string, names: readonly string[]): string {
  const listed = names.map(withoutSecrets).join(", ");
  return `${where}: got "${listed}", a federated route, which is not supported yet; name one backend for each route`;
}
