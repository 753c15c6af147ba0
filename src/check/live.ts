/** `mcp-router check --live`: asks the backends of federated routes what they offer. */
import { createEgress } from "../backends/client.ts";
import type { Config } from "../config/load.ts";
import { requestPolicy } from "../config/policy.ts";
import { formatAddress } from "../core/address.ts";
import type { FederatedRoute } from "../core/routes.ts";
import { createCatalogue } from "../federation/catalogue.ts";
import type { CatalogueReport } from "../federation/report.ts";
import { VERSION } from "../version.ts";
import { routersOwnCredentials } from "./credentials.ts";

/** Asks each backend once, as the router does. Takes `lists.timeout` at most, and never rejects. */
export async function askBackends(config: Config, routes: readonly FederatedRoute[]): Promise<CatalogueReport> {
  const policy = requestPolicy(config);
  const egress = createEgress(`http://${formatAddress(config.egress.address)}`, routersOwnCredentials(config));
  const catalogue = createCatalogue({ egress, policy: () => policy, version: VERSION, observe: () => undefined });
  await Promise.all(routes.map((route) => catalogue.ready(route, undefined, "modern")));
  const report = catalogue.report();
  await catalogue.close();
  await egress.close();
  return report;
}
