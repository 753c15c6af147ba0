/** Rules on the slashes of public paths: Envoy and the processor must take the same paths for one (core/public-path.ts). */
import type { Config } from "../../config/load.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { error, type Finding, warning } from "./finding.ts";
import { chooseRoute } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";
import { leadsToBackends } from "./route-rules.ts";
import type { HttpListener, Topology } from "./topology.ts";

const POST = { ":method": "POST" };

/** Rules of a listener with the processor in its path. */
export function pathFindings({ manager, virtualHosts }: HttpListener, topology: Topology, config: Config): Finding[] {
  const ours = virtualHosts.filter((host) => leadsToBackends({ virtualHosts: [host] }, topology));
  if (ours.length === 0) return [];
  return [...unmerged(manager, config), ...ours.flatMap((host) => elsewhere(host, config))];
}

/** What Envoy matches on paths by then does not hold for //mcp, which the processor serves. */
function unmerged(manager: ProtoView, { identity, admission }: Config): Finding[] {
  const merge = manager.get("merge_slashes");
  if (merge.isTrue) return [];
  const is = merge.exists ? "is" : "is absent, so";
  const goneAround = [
    ...(identity.kind === "jwt" ? ["the check of tokens"] : []),
    ...(admission.guard ? ["admission.guard"] : []),
  ];
  const message = `${is} false, and the processor takes slashes in a row for one:`;
  if (goneAround.length > 0)
    return [error("paths", merge, `${message} //mcp goes around ${goneAround.join(" and ")}; write true`)];
  return [warning("paths", merge, `${message} what you match on paths does not hold for //mcp; write true`)];
}

/** A client whose URL has a slash at its end meets another route than the rest. */
function elsewhere(virtualHost: ProtoView, { routes }: Config): Finding[] {
  const chosenFor = (path: string) => chooseRoute(virtualHost, { path, headers: POST });
  return routes.flatMap(({ path }) => {
    const route = chosenFor(path);
    if (!route) return [];
    return spellingsOf(path)
      .filter((spelling) => !isAlike(route, chosenFor(spelling)))
      .map((spelling) =>
        warning(
          "paths",
          route.get("match"),
          `takes ${path} and not ${spelling}, which the processor takes for the same: add a route like it with path: ${spelling}`,
        ),
      );
  });
}

/** The same route, or another that does the same. */
function isAlike(route: ProtoView, other: ProtoView | undefined): boolean {
  if (!other) return false;
  return other.path === route.path || JSON.stringify(withoutMatch(route)) === JSON.stringify(withoutMatch(other));
}

function withoutMatch({ value }: ProtoView): unknown {
  return { ...Object(value), match: undefined, name: undefined };
}
