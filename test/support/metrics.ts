/** What a router's metrics say. */

/** @param http `host:port` of the router's health and metrics */
export async function metricsAt(http: string): Promise<string> {
  return (await fetch(`http://${http}/metrics`)).text();
}

/**
 * The sum of a counter over its labels; 0 where there is none.
 * @param label such as `route="/mcp"`: only of those that have it
 */
export function metricIn(metrics: string, name: string, label = ""): number {
  const lines = metrics.matchAll(new RegExp(`^mcp_router_${name}(?:\\{([^}]*)\\})? (\\d+)$`, "gm"));
  return [...lines]
    .filter(([, labels = ""]) => labels.includes(label))
    .reduce((sum, [, , value]) => sum + Number(value), 0);
}
