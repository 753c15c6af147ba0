/** The answer to an initialize on a route to several backends. Pure. */
import { agreedVersion } from "../mcp/versions.ts";
import type { FederatedRoute } from "../routes.ts";
import { describeRoute, type KnownOfMembers } from "./description.ts";

/**
 * JSON text of the result (MCP 2025-11-25, "Initialization").
 * @param requested version of the client
 */
export function initializeResult(route: FederatedRoute, known: KnownOfMembers, requested: string | undefined): string {
  const { serverInfo, capabilities, instructions } = describeRoute(route, known, "legacy");
  return JSON.stringify({
    protocolVersion: agreedVersion(requested),
    capabilities,
    serverInfo,
    ...(instructions !== "" && { instructions }),
  });
}
