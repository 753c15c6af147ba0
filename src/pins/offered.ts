/** What the backends of pinned routes offer now, asked as the router does. */
import { Buffer } from "node:buffer";
import type { Egress } from "../backends/client.ts";
import type { Config } from "../config/load.ts";
import { requestPolicy } from "../config/policy.ts";
import type { FederatedRoute } from "../core/routes.ts";
import { createCatalogue } from "../federation/catalogue.ts";
import { toolDigest } from "../federation/tool-digest.ts";
import { VERSION } from "../version.ts";

export interface OfferedTool {
  /** As clients see it. */
  readonly name: string;
  readonly backend: string;
  readonly digest: string;
  /** JSON text. */
  readonly definition: string;
}

/** What is offered on the routes of one file. */
export interface OfferedOnRoutes {
  readonly file: string;
  readonly tools: readonly OfferedTool[];
  /** Backends that have not told all that they offer, and why, in words. */
  readonly silent: ReadonlyMap<string, string>;
  /** Backends whose lists depend on who asks, and how the names of their tools begin. */
  readonly personal: ReadonlyMap<string, string>;
}

/** Takes `lists.timeout` at most, and never rejects. */
export async function offeredOnPinned(config: Config, egress: Egress): Promise<readonly OfferedOnRoutes[]> {
  const pinned = config.routes.flatMap((route) =>
    route.kind === "federated" && route.pins ? [{ file: route.pins.file, route: { ...route, pins: undefined } }] : [],
  );
  const policy = requestPolicy({ ...config, routes: pinned.map(({ route }) => route) });
  const catalogue = createCatalogue({ egress, policy: () => policy, version: VERSION, observe: () => undefined });
  await Promise.all(pinned.map(({ route }) => catalogue.ready(route, undefined, "modern")));
  const { backends } = catalogue.report();
  const failures = new Map(backends.map(({ backend, asked }) => [backend, asked?.failure ?? undefined]));
  const files = Map.groupBy(pinned, ({ file }) => file);
  const offered = Array.from(files, ([file, of]) => {
    const each = of.map(({ route }) => onRoute(route, catalogue.view(route, undefined), failures));
    return {
      file,
      tools: each.flatMap(({ tools }) => tools),
      silent: new Map(each.flatMap(({ silent }) => silent)),
      personal: new Map(each.flatMap(({ personal }) => personal)),
    };
  });
  await catalogue.close();
  return offered;
}

type Seen = ReturnType<ReturnType<typeof createCatalogue>["view"]>;

function onRoute(
  { members }: FederatedRoute,
  { tools, known }: Pick<Seen, "tools" | "known">,
  failures: ReadonlyMap<string, string | undefined>,
) {
  const nameOf = (member: number) => members[member]?.route.backend.name ?? "";
  return {
    tools: tools.items.map(({ item, member }): OfferedTool => {
      const definition = Buffer.from(item.bytes).toString();
      return { name: item.key, backend: nameOf(member), digest: toolDigest(item), definition };
    }),
    silent: members.flatMap(({ lists }, member) =>
      lists === "principal" || known[member]
        ? []
        : [[nameOf(member), failures.get(nameOf(member)) ?? "it was not asked"] as const],
    ),
    personal: members.flatMap(({ lists, prefix = "" }, member) =>
      lists === "principal" ? [[nameOf(member), prefix] as const] : [],
    ),
  };
}
