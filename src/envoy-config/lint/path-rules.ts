/** Rules on the slashes of public paths: Envoy and the processor must hold the same paths for one (core/public-path.ts). */
import type { Config } from "../../config/load.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { type Finding, found, stated } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { type HttpListener, leadsToBackends, type Topology } from "./topology.ts";
import { chooseRoute, isUnread } from "./virtual-host.ts";

const POST = { ":method": "POST" };

/** Rules of a listener with the processor in its path. */
export function pathFindings({ manager, virtualHosts }: HttpListener, topology: Topology, config: Config): Finding[] {
  const ours = virtualHosts.filter((host) => leadsToBackends({ virtualHosts: [host] }, topology));
  if (ours.length === 0) return [];
  return [...unmerged(manager, config), ...ours.flatMap((host) => elsewhere(host, config))];
}

/** Filters ahead of the processor compare the path as the client wrote it where Envoy does not merge its slashes. */
function unmerged(manager: ProtoView, { identity, admission }: Config): Finding[] {
  const merge = manager.get("merge_slashes");
  if (merge.isTrue) return [];
  const passed = [
    ...(identity.kind === "jwt" ? ["the check of tokens"] : []),
    ...(admission.guard ? ["admission.guard"] : []),
  ];
  const says = stated(merge, "false");
  if (passed.length > 0)
    return [found("paths/around", merge, `${says}, and //mcp goes around ${passed.join(" and ")}`)];
  return [found("paths", merge, says)];
}

/** A client whose URL ends with a slash meets another route than the rest. */
function elsewhere(virtualHost: ProtoView, { routes }: Config): Finding[] {
  const post = (path: string) => ({ path, headers: POST });
  const chosenFor = (path: string) => chooseRoute(virtualHost, post(path));
  return routes.flatMap(({ path }) => {
    const route = chosenFor(path);
    if (!route) return [];
    return spellingsOf(path)
      .filter((spelling) => !isAlike(route, chosenFor(spelling)) && !isUnread(virtualHost, post(spelling)))
      .map((spelling) =>
        found("paths/spelling", route.get("match"), `The route takes ${path} and not ${spelling}`, { spelling }),
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
