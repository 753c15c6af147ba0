/** The text of a first configuration. Pure. */

import { stringify } from "yaml";

export interface InitServer {
  readonly name: string;
  readonly url: string;
  /** What it is, for a comment: in one line. */
  readonly about: string;
}

/** One route over all servers. */
export function firstConfiguration(servers: readonly InitServer[]): string {
  const [{ name: example } = { name: "files" }] = servers;
  const backends = servers.map(
    ({ name, url, about }) => `  # ${about}\n  ${scalar(name)}: { url: ${inFlow(url)}, credentials: none }\n`,
  );
  return `# Made by \`mcp-router init\`. docs/configuration.md has every setting; \`mcp-router check\` says what is wrong with this file.

gateway:
  listen: 127.0.0.1:8080 # where clients connect; 0.0.0.0:8080 for those of other machines
  hosts: [127.0.0.1, localhost] # host names in clients' URLs; others get 403
processor:
  http: 127.0.0.1:9090 # health, metrics, /catalogue, and Envoy's configuration: not for clients
  streams: {} # clients hear what the servers say on their own

# The MCP servers. A name begins the names of its server's tools: ${example}__read. They get no Authorization of clients; a server
# that needs one says so by its credentials: forward, a header from a file, or exchange (docs/configuration.md).
backends:
${backends.join("")}
# One URL for all of them, http://127.0.0.1:8080/mcp. A route of one backend has its names as they are:
#   - { path: /${example}/mcp, backends: [${scalar(example)}] }
routes:
  - path: /mcp
    backends: [${servers.map(({ name }) => scalar(name)).join(", ")}]
    federated: true
    # era: bridge # for clients of protocol 2026-07-28 alone too, where a server is older: it can ask them nothing back
`;
}

/** The same inside of braces, where a comma or brace of an URL would end it. */
function inFlow(text: string): string {
  return /[,[\]{}]/.test(text) ? JSON.stringify(text) : scalar(text);
}

/** In quotes where YAML would take it for something else, as a name that is a number. */
function scalar(text: string): string {
  return stringify(text, { lineWidth: 0 }).trimEnd();
}
