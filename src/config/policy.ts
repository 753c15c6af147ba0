/** Selects the parts of the configuration by which the core decides requests. Pure. */
import { addsCredential } from "../core/credentials.ts";
import { parkingOf } from "../core/parking.ts";
import { createAccess } from "../core/policy/access.ts";
import type { RequestPolicy } from "../core/routes.ts";
import type { Config } from "./load.ts";

export function requestPolicy({
  gateway,
  identity,
  backends,
  routes,
  policy: rules,
  limits,
  lists,
  toolTimeouts,
  admission,
  sessions: lifespan,
}: Config): RequestPolicy {
  const paths = routes.map(({ path }) => path);
  const { sessions, perPrincipal, anonymous, waiting, wait } = admission;
  return {
    routes: new Map(routes.map((route) => [route.path, route])),
    hosts: gateway.hosts,
    origins: gateway.origins,
    identity,
    access: rules && createAccess(rules, paths, lists.bytes),
    addsCredentials: backends.some(({ credentials }) => addsCredential(credentials)),
    admission: {
      sessions,
      perPrincipal,
      anonymous,
      parking: parkingOf(admission.park, lifespan.idle),
      waiting,
      wait,
      retryAfter: Math.ceil(admission.retryAfter / 1000),
    },
    callLimits: { limits: limits.calls, counts: limits.service ? "windows" : "steps" },
    toolTimeouts,
    limits,
  };
}
