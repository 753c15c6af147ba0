/** docs/conformance.md: what the runs came to. No I/O. */
import type { Row } from "./compare.ts";
import { KNOWN_DIFFERENCES } from "./known.ts";
import { countOf, type Summary, titleOf } from "./report.ts";
import type { Versions } from "./versions.ts";

export interface Revision {
  readonly revision: string;
  readonly rows: readonly Row[];
  readonly summaries: readonly Summary[];
}

/** What a reader calls each way, and what it is. */
const WAYS: Readonly<Record<string, string>> = {
  direct: "direct",
  transparent: "transparent route",
  federated: "federated route",
  beside: "federated route, another server beside",
  twins: "federated route, a twin beside",
};

export function documentOf(versions: Versions, revisions: readonly Revision[]): string {
  const headline = [
    ["MCP", "run", "required scenarios that pass", "checks of all scenarios", "scenarios that differ from direct"],
    ...revisions.flatMap(headlineOf),
  ];
  return `${HEAD}
${drawTable([["what", "version"], ...versionRows(versions)])}
## Results

${drawTable(headline)}
${LEGEND}
${KNOWN}
${revisions.map(detailsOf).join("\n")}`;
}

const HEAD = `# Conformance

\`make conformance\` runs the [public conformance suite of MCP](https://github.com/modelcontextprotocol/conformance) and writes this page.
CI runs it too, and fails if a required scenario fails, if a check differs from the direct run, or if this page is not up to date.

The suite tests a server. The server under test is [our own](../test/conformance/fixture.ts), made with the official TypeScript SDK: it
has the tools, prompts and resources that the suite asks for. The suite runs against it

- **direct**: without a gateway;
- **transparent route**: through Envoy and the router, by a route to this one server;
- **federated route**: by a route with \`federated: true\` to this one server, which has \`prefix: off\`;
- **federated route, another server beside**: by a route to this server and to server-everything, a real server with tools, prompts and
  resources of its own;
- **federated route, a twin beside**: by a route to this server and to a second one of its kind.

A gateway that changes nothing gives the same result for each check. Results are compared check by check, also those of scenarios
that the suite does not score.

## Versions
`;

const LEGEND = `A federated route speaks 2026-07-28 whatever its servers do. server-everything has only versions with sessions: what it has goes to a
client of 2026-07-28 from a session of the gateway's.
`;

const KNOWN = `What differs on federated routes, and why:

${KNOWN_DIFFERENCES.map(({ scenario, why }) => `- \`${scenario}\`: ${why.join("\n  ")}`).join("\n")}
`;

function versionRows({ suite, router, envoy, node, sdk, other }: Versions): string[][] {
  return [
    ["conformance suite (`@modelcontextprotocol/conformance`)", suite],
    ["envoy-mcp-router", router],
    ["Envoy", envoy],
    ["Node.js", node],
    ["SDK of the server under test (`@modelcontextprotocol/server`)", sdk],
    ["the server beside it (`@modelcontextprotocol/server-everything`)", other],
  ];
}

function headlineOf({ revision, summaries }: Revision): string[][] {
  return Object.entries(WAYS).flatMap(([way, title]) => {
    const summary = summaries.find((one) => one.way === way);
    if (!summary) return [];
    const { passed, required, checks, different, known } = summary;
    const differ = known.length > 0 ? `${different}, and ${known.length} explained below` : `${different}`;
    return [[revision, title, `${passed} of ${required}`, checks.all, way === "direct" ? "–" : differ]];
  });
}

function detailsOf({ revision, rows }: Revision): string {
  const ways = rows[0]?.outcomes.map(({ way }) => WAYS[way] ?? way) ?? [];
  const table = [
    ["scenario", ...ways],
    ...rows.map(({ scenario, outcomes }) => [titleOf(scenario), ...outcomes.map(({ checks }) => countOf(checks))]),
  ];
  return `## Scenarios of ${revision}

Each cell has the checks of the scenario that passed, failed or were warned of.

${drawTable(table)}`;
}

/** A table of Markdown, its columns as wide as they need to be. The first row is the head. */
function drawTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? [];
  const draw = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return `${[draw(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body.map(draw)].join("\n")}\n`;
}
