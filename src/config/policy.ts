/** The part of the configuration that requests are decided by, in the core's terms. */
import type { RequestPolicy, Route } from "../core/routes.ts";
import type { Config } from "./load.ts";

/** @throws when a route names no backend, which `loadConfig` does not let through */
export function requestPolicy({ gateway, identity, routes, backends, limits, admission }: Config): RequestPolicy {
  const { sessions, perPrincipal, waiting } = admission;
  const paths = new Map(backends.map(({ name, path }) => [name, path]));
  const routeOf = ({ path, backend, sessions }: Config["routes"][number]): Route => {
    const backendPath = paths.get(backend);
    if (backendPath === undefined) throw new Error(`route ${path} leads to "${backend}", which is no backend`);
    return { path, backend, backendPath, sessions };
  };
  return {
    routes: new Map(routes.map((route) => [route.path, routeOf(route)])),
    hosts: gateway.hosts,
    origins: gateway.origins,
    identity,
    admission: { sessions, perPrincipal, waiting, retryAfter: Math.ceil(admission.retryAfter / 1000) },
    limits,
  };
}
