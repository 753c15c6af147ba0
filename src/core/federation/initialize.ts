/** The answer to an initialize on a route to several backends. Pure. */
import { agreedVersion } from "../mcp/versions.ts";
import type { FederatedRoute } from "../routes.ts";
import { describeRoute } from "./description.ts";
import type { Offer } from "./offer.ts";

/**
 * JSON text of the result (MCP 2025-11-25, "Initialization").
 * @param requested version of the client
 * @param offers by member; undefined where a backend has not answered
 */
export function initializeResult(
  route: FederatedRoute,
  offers: readonly (Offer | undefined)[],
  requested: string | undefined,
): string {
  const { serverInfo, capabilities, instructions } = describeRoute(route, offers, "legacy");
  return JSON.stringify({
    protocolVersion: agreedVersion(requested),
    capabilities,
    serverInfo,
    ...(instructions !== "" && { instructions }),
  });
}
