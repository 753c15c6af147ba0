/** The part of the configuration that requests are decided by, in the core's terms. */
import type { RequestPolicy, Route } from "../core/routes.ts";
import type { Config } from "./load.ts";

export function requestPolicy({ gateway, routes, backends, limits }: Config): RequestPolicy {
  const paths = new Map(backends.map(({ name, path }) => [name, path]));
  return {
    routes: new Map(
      routes.map(({ path, backend, sessions }): [string, Route] => [
        path,
        { path, backend, backendPath: paths.get(backend) ?? path, sessions },
      ]),
    ),
    hosts: gateway.hosts?.map((host) => host.toLowerCase()),
    origins: gateway.origins,
    limits,
  };
}
