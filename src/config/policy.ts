/** The part of the configuration that requests are decided by, in the core's terms. */
import { parkingOf } from "../core/parking.ts";
import type { RequestPolicy, Route } from "../core/routes.ts";
import type { Config } from "./load.ts";

/** @throws when a route names no backend, which `loadConfig` does not let through */
export function requestPolicy({
  gateway,
  identity,
  routes,
  backends,
  limits,
  admission,
  sessions: lifespan,
}: Config): RequestPolicy {
  const { sessions, perPrincipal, anonymous, waiting, wait } = admission;
  const byName = new Map(backends.map((backend) => [backend.name, backend]));
  const routeOf = ({ path, backend, sessions }: Config["routes"][number]): Route => {
    const to = byName.get(backend);
    if (to === undefined) throw new Error(`route ${path} leads to "${backend}", which is no backend`);
    const { name, path: pathThere, onSessionLost, origin, timeouts } = to;
    return { kind: "transparent", path, sessions, backend: { name, path: pathThere, onSessionLost, origin, timeouts } };
  };
  return {
    routes: new Map(routes.map((route) => [route.path, routeOf(route)])),
    hosts: gateway.hosts,
    origins: gateway.origins,
    identity,
    admission: {
      sessions,
      perPrincipal,
      anonymous,
      parking: parkingOf(admission.park, lifespan.idle),
      waiting,
      wait,
      retryAfter: Math.ceil(admission.retryAfter / 1000),
    },
    limits,
  };
}
