/** What is likely a mistake in a configuration that works. Pure. */
import type { RawConfig } from "./schema.ts";

export function likelyMistakes(raw: RawConfig): string[] {
  return [...unusedBackends(raw), ...globs(raw)];
}

function unusedBackends({ backends, routes }: RawConfig): string[] {
  const used = new Set(routes.flatMap((route) => route.backends));
  return Object.keys(backends)
    .filter((name) => !used.has(name))
    .map((name) => `backends.${name}: no route leads to it, so no client reaches it`);
}

/** Patterns in other gateways' paths: `/mcp/*`, `/mcp/:id`. A path with braces is an error already. */
const GLOB = /\*|\/:/;

function globs({ backends, routes }: RawConfig): string[] {
  const paths = [
    ...routes.map(({ path }, index) => [`routes[${index}].path`, path] as const),
    ...Object.entries(backends).map(([name, { path }]) => [`backends.${name}.path`, path] as const),
  ];
  return paths
    .filter(([, path]) => GLOB.test(path))
    .map(
      ([where, path]) =>
        `${where}: "${path}" is taken as it is written: a path has no wildcards, and stands for itself alone`,
    );
}
