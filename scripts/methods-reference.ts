/**
 * Writes docs/internals/mcp-methods.md to stdout: what an intermediary of several servers does with each method, from the table in
 * the source.
 *
 *     node scripts/methods-reference.ts
 */
import { pathToFileURL } from "node:url";
import { EACH, type Path } from "../src/core/json/places.ts";
import { METHODS, type Method } from "../src/core/mcp/methods.ts";

const HEAD = `# The methods of MCP, and one URL for many servers

What one route to several servers does with each message. \`make generate\` makes this page from
[the table](../../src/core/mcp/methods.ts). A federated route answers the notifications of the modern era (2026-07-28) itself. Without a
stream of the gateway's own, \`subscriptions/listen\` reaches only a server that is alone. Task ids stay as they are: of several servers
those that have tasks are asked by \`tasks/get\` whose it is. No list is made of several servers' tasks: \`tasks/list\` is refused. A route to one server passes every message on unchanged.

- **begin**: the gateway opens sessions for it at the servers.
- **ours**: the gateway answers it, from the answers of all servers.
- **one**: one server gets it, the one that the member named in the table leads to.
- **all**: all on the other side get it.
- **drop**: nobody gets it.

"Renamed" lists where the message and its answer hold names, URIs, task ids or ids of requests that differ between one server and a
route to several. \`[]\` stands for each item of an array. Methods in *italics* are also counted or remembered by the gateway, since
they begin a session or change what a server keeps of one; those with † are repeated in the \`Mcp-Name\` header.
`;

function written(path: Path): string {
  const steps = path.map((step) => (step === EACH ? "[]" : step));
  return `\`${steps.join(".").replaceAll(".[]", "[]")}\``;
}

function line({ method, form, eras, treatment, renamed, mirrored, ofSessions }: Method): string {
  const name = `${ofSessions ? `*\`${method}\`*` : `\`${method}\``}${mirrored ? " †" : ""}`;
  const what = treatment.kind === "one" ? `one, by ${written(treatment.by)}` : treatment.kind;
  const places = [...renamed.message, ...renamed.answer].map(written);
  return `| ${name} | ${form} | ${eras.join(", ")} | ${what} | ${places.join(", ") || "–"} |`;
}

function tableOf(from: Method["from"]): string {
  const lines = METHODS.filter((method) => method.from === from).map(line);
  return ["| method | form | eras | treatment | renamed |", "|---|---|---|---|---|", ...lines].join("\n");
}

export function methodsReference(): string {
  return `${HEAD}\n## From clients\n\n${tableOf("client")}\n\n## From servers\n\n${tableOf("server")}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.stdout.write(methodsReference());
