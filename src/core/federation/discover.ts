/** What the modern era (MCP 2026-07-28) has of its own in the gateway's answers on a route to several backends. Pure. */
import { MODERN_VERSION } from "../mcp/versions.ts";
import type { FederatedRoute } from "../routes.ts";
import { describeRoute, type KnownOfMembers } from "./description.ts";

/** Member of a result's `_meta` (MCP 2026-07-28, basic/index, "_meta"). */
export const SERVER_INFO = "io.modelcontextprotocol/serverInfo";

/**
 * Members that end a result which clients may keep (MCP 2026-07-28, "Caching").
 *
 * `ttlMs`: the gateway itself asks for the lists as often. `cacheScope`: most lists come from answers of the legacy era, which do
 * not say that anybody may see them; and what a route hides may depend on who asks.
 */
function cacheable({ lists }: Pick<FederatedRoute, "lists">) {
  return { resultType: "complete", ttlMs: lists.refresh, cacheScope: "private" };
}

/** The members for the end of a list, as JSON text that begins with a comma. */
export function endOfModernList(route: Pick<FederatedRoute, "lists">): string {
  return `,${JSON.stringify(cacheable(route)).slice(1, -1)}`;
}

/** JSON text of the result of a server/discover. Versions with sessions are not in it, as an initialize negotiates those. */
export function discoverResult(route: FederatedRoute, known: KnownOfMembers): string {
  const { serverInfo, capabilities, instructions } = describeRoute(route, known, "modern");
  return JSON.stringify({
    supportedVersions: [MODERN_VERSION],
    capabilities,
    ...(instructions !== "" && { instructions }),
    ...cacheable(route),
    _meta: { [SERVER_INFO]: serverInfo },
  });
}
