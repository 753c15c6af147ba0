/**
 * Writes docs/configuration.md to stdout: each setting with what is expected of it, its default and its meaning, all from the
 * schema.
 *
 *     node scripts/configuration-reference.ts
 */
import { pathToFileURL } from "node:url";
import { jsonSchema } from "../src/config/schema.ts";

/** JSON Schema, as far as zod writes it for ours. */
interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
}

interface Row {
  readonly setting: string;
  readonly expected: string;
  readonly fallback: string;
  readonly meaning: string;
}

const HEAD = `# Configuration

Every setting of \`mcp-router.yaml\`. \`make generate\` makes this page from [the schema](../src/config/schema/).

\`mcp-router check --config mcp-router.yaml\` lists the errors in a file, and warns of dangerous settings.

The router reads the file again when it changes. If the new file has an error, the router keeps the old configuration, logs the error
and sets the metric \`mcp_router_config_stale\`. These settings take effect only at the next start, which the log says: \`egress\`,
\`processor\`, \`store\`, \`sessions\`, \`log\`, \`limits.replayBodies\`, \`limits.recoveredAnswers\`, a larger \`limits.body\`,
and \`admission.anonymous\` after \`identity.kind\` was \`none\`. Envoy's configuration is made from the same file. An
Envoy that runs with what \`mcp-router envoy --live\` prints follows the file too (docs/envoy.md, "An Envoy that follows the file");
for any other, where a change concerns Envoy, the log tells you to print it again.

The file is YAML 1.2 (or JSON), at most 512 KiB.

- \`off\` may also be \`Off\`, \`OFF\` or \`false\`: tools that use YAML 1.1 (Helm, kustomize, PyYAML) turn \`off\` into \`false\`.
- A duration needs a unit: \`30s\`, not \`30\`. A size may be a plain number of bytes.
- Quote a text that looks like a number, \`true\` or \`false\`; do not quote numbers. Merge keys (\`<<\`) are not supported.
- Variables (\`$NAME\`) are not expanded. To keep a password out of the file, use \`store.passwordFile\`, and for
  backends \`credentials\` with a file.

Error messages show no text from \`store\`, and neither the user nor the query of a URL, because these may be secrets.
`;

const TAIL = `
## Several servers behind one URL

A route with several backends is federated: clients see one server, with one session, one list of tools, one of prompts and one of
resources. The router answers what is about the whole (\`initialize\`, the lists). Envoy carries each call to the backend that has
the tool, and the answer back, as on other routes.

\`\`\`yaml
backends:
  files: { endpoints: [10.0.0.1:3001], uris: ["file:///data/*"] }
  search: { endpoints: [10.0.0.2:3001, 10.0.0.3:3001] }
routes:
  - path: /mcp
    backends: [files, search]
    tools: { deny: ["files__delete*"] }
\`\`\`

[A longer example](../examples/federated/mcp-router.yaml) has most of the settings.

\`mcp-router check --config mcp-router.yaml --live\` asks the servers, through the running Envoy, and prints what clients would see
(docs/operations.md, "Whether what runs is what the file says", has what else it asks). It exits with 1 if a server does not answer, or if
two items of one list have the same name or URI.

- Names of tools and prompts begin with the name of their backend: \`files__read\`, \`search__query\`. A name that would be longer than 64
  characters, or has others than letters, digits, \`_\` and \`-\`, is shortened, and ends with a hash.
- URIs of resources stay as they are. The backend that lists a URI has it; otherwise the one with a pattern in \`uris\` for it, or else with a
  template.
- Where two items of one list have the same name or URI, clients get the one whose backend stands first in \`backends\` of the route.
- \`tools\`, \`prompts\` and \`resources\` of a route hide items, in lists and for calls. \`deny\` overrides \`allow\`.
- \`tools.pin\` hides tools whose definition you have not accepted: see [Pinned tools](#pinned-tools).
- The router asks a backend for its lists when a client first needs them, and again as \`lists\` says. A backend that does not answer is
  left out, and the others are served.
- With \`processor.streams\`, the event stream of a client's GET brings what all servers say on their own: requests to the client
  (sampling, elicitation, roots), updates of resources, log messages. It tells the client when a list has changed: because of a backend,
  or because the configuration was reloaded with other backends, prefixes, filters or pins for the route. A client that comes back goes on
  after the last event that it got, at each server that keeps its events. With several routers it needs Redis.
- With \`processor.streams\`, a client of 2026-07-28 listens by \`subscriptions/listen\` for changed lists, and for updates of resources at
  each server that tells of them. A resource that no server is known to have, or that the route hides, is left out of what is
  acknowledged, and so is that of a server that does not answer within 3 s; the router goes on asking it. The stream ends when the
  configuration is reloaded with other backends or filters of resources for the route, and the client listens anew. Such a request has at
  most 64 KiB. Of its \`_meta\` the backends get the members that begin with \`io.modelcontextprotocol/\`. The caps of \`admission\` limit
  how many of these streams are open.
- A client of protocol version 2026-07-28 is served without a session where each backend of the route speaks that version, or with
  \`era: bridge\`, and none has \`lists: principal\`. Otherwise the route refuses the version, and a client of both eras begins a session.
  \`/catalogue\` of \`processor.http\` says which eras each backend speaks. A backend gets no \`accept-encoding\` of such a client.
- With \`era: bridge\`, for a backend of older versions alone the router holds a session for each principal and route, which counts for
  \`admission\` and ends by \`sessions.idle\`. It is begun with the headers and the \`clientInfo\` of the request that first needs it. An
  anonymous request has one for itself alone, which costs the backend an \`initialize\` and a DELETE each time. Such a backend cannot ask
  these clients anything. With \`processor.streams\` it tells them of updates of resources, up to 100 for
  each \`subscriptions/listen\`: each of these has a session of its own there, which ends with it. So a server that tells of a change only in
  the session of the call that made it is not heard. Of what else it would send outside of calls only changed lists are heard.
- A client with a session uses a backend that speaks 2026-07-28 alone like any other: its requests go there in that version, with what its
  \`initialize\` says of it. With \`processor.streams\` it can subscribe to resources there: the backend must
  agree at once, and while the client's event stream is open, the router listens by one \`subscriptions/listen\` for all of them. A session
  remembers 100 of them, and is refused more. Such a backend has no other streams, and hears of no notifications: a call that the client
  cancels by \`notifications/cancelled\` goes on there. It is told of no capability by which it would ask the client back (\`elicitation\`,
  \`sampling\`, \`roots\`). What it answers goes to the client as it is, also a result that is no complete one.
- A session is begun at a backend when a client first calls it there. A call that fails because of its backend gets a JSON-RPC error that
  names the backend.
- Tasks: where several backends have them, the router asks each by \`tasks/get\` whose a task is, and only that one gets the message. Ids stay
  as the backends give them. Two that give the same id are not told apart: a message about it is refused. So is \`tasks/list\`, which such
  a route does not promise. Tasks do not cross from one version to the other; those of 2026-07-28 at a backend that speaks both are known
  only if its \`initialize\` names the extension. A backend that takes 1 s longer than another one which has the task is not waited for.

Not yet: log messages of backends of older versions for clients of 2026-07-28.

## Pinned tools

A server may change what it says of a tool after you have looked at it, and the description is what a client's model reads
(CVE-2025-54136). With \`tools.pin\` a route offers a tool only as you have accepted it:

\`\`\`yaml
routes:
  - { path: /mcp, backends: [files, search], tools: { pin: pins/mcp.json } }
\`\`\`

\`\`\`sh
mcp-router pin --config mcp-router.yaml --all --direct  # accepts what the servers offer now, and writes the file, before the router starts
mcp-router pin --config mcp-router.yaml                 # shows what differs from the file, and exits with 1 if anything does
mcp-router pin --config mcp-router.yaml --accept files__read search__query
mcp-router pin --config mcp-router.yaml --all --dry-run # with --all or --accept: writes nothing, shows what differs, and exits with 1 if anything does
\`\`\`

- The command asks the servers as the router does, through the running Envoy; with \`--direct\` at the first endpoint of each, without TLS. A server
  that does not answer is an error, and what was accepted of it stays. \`--all\` also takes tools out of the file that are gone.
- The file has one digest (SHA-256) for each tool: of all members of its definition, whatever they are, and of the server's own name for it. White space
  and the order of members do not matter; a member that stands twice does. A server that writes something else into a definition each time it
  is asked cannot be pinned. The definition beside it is for people and for \`mcp-router pin\`; the
  digest decides. Keep the file under version control: a review shows what a server has changed. Characters that nobody sees stand in it as escapes.
- A tool that is not what the file says, or is not in it, is neither listed nor called (\`onChange: warn\`: it is, and is told of). So is one of another
  backend under an accepted name.
- A tool of a server that has not said what it offers, or no more (\`lists.stale\`), is not called: such a call is answered by a JSON-RPC error
  that names the server.
- The router sees a change when it asks for the lists again: after \`lists.refresh\`, or when the server says that they have changed. Until then a call goes on
  to the tool as it was accepted. What a server does behind a definition that stays the same, no digest shows.
- The file is read again when it changes, by each router for itself. One that cannot be used leaves the last one in force, and the log says why. The router
  does not start without it, and a reload that names a file which is not there waits for it. A worker that is started again while the file
  cannot be used accepts nothing of it until it can.
- Of a backend with \`lists: principal\`, which the command cannot ask in a client's name, a tool is accepted by the digest in the router's log:
  \`--accept files__read=sha256:…\`. Several may be accepted of one tool, since principals may be offered different ones.
- The log has a line for each tool that differs, with both digests; \`mcp_router_pins_differing\` counts them, and \`check --live\` and
  \`/catalogue\` of \`processor.http\` name them. Prompts, resources and instructions are not pinned.

## One server for clients of each era

A route to one backend passes messages on, so a client must speak a version that its backend speaks. With \`era: bridge\` it need not.

\`\`\`yaml
routes:
  - { path: /mcp, backends: [files], era: bridge }
\`\`\`

| client             | a backend with sessions alone                   | a backend of both eras | a backend of 2026-07-28 alone                                  |
| ------------------ | ----------------------------------------------- | ---------------------- | -------------------------------------------------------------- |
| with sessions      | messages pass                                   | messages pass          | the router begins the session; requests go on in that version  |
| of 2026-07-28      | the router holds a session there for the client | messages pass          | messages pass                                                  |

- Where messages pass, all is as without \`era\`.
- Elsewhere the router stands for the backend, as [on a federated route](#several-servers-behind-one-url): what is said there of
  \`era: bridge\`, and of clients with a session at a backend of 2026-07-28 alone, holds here too. But clients see the backend as it is:
  its name, its instructions, and each name and URI to the byte. Lists come sorted by names. \`prefix\` and \`uris\` of the backend have no
  effect. What the backend does not list it is asked for all the same.
- The router asks the backend which versions it speaks when a client first needs to know, and then as \`lists\` says. A request waits
  for the first answer at most \`lists.timeout\`. While the backend has not answered, as one that answers nobody without credentials,
  messages pass.
- A session stays with whoever began it, also when the backend is replaced by one of other versions. One that has
  passed so far is lost (404) once only a backend without sessions is left, and the client begins another one. What new clients meet
  follows within \`lists.refresh\`.
- With \`lists: principal\` of the backend, clients of 2026-07-28 are refused by -32022 where the backend has sessions alone, so that a client
  of both eras begins one.
- With \`processor.streams\`, the GET of a session that the router has begun, and the \`subscriptions/listen\` of a client for which it holds
  one, tell of changed lists and of updates of resources. Nothing else crosses the eras outside of calls. Without it, they get 405 and 404.
`;

export function reference(): string {
  const { properties = {}, required = [] } = jsonSchema() as Schema;
  const sections = Object.entries(properties).map(([name, schema]) =>
    section(`## ${name}`, name, schema, required.includes(name)),
  );
  return HEAD + sections.join("") + TAIL;
}

/** A heading, what it is about, and a table; where there are several kinds, one for each. */
function section(heading: string, name: string, schema: Schema, required: boolean): string {
  const { description, oneOf } = schema;
  const title = `\n${heading}${required ? " (required)" : ""}\n`;
  const opening = description === undefined ? title : `${title}\n${description}\n`;
  if (!oneOf) return opening + table(below(name, schema));
  const kinds = oneOf.map((variant) => {
    const { const: kind, description: meaning = "" } = variant.properties?.kind ?? {};
    const isDefault = JSON.stringify(schema.default) === JSON.stringify({ kind });
    const subheading = `### ${name}.kind: ${kind}${isDefault ? " (default)" : ""}`;
    return section(subheading, name, { ...variant, description: meaning }, false);
  });
  return opening + kinds.join("");
}

/** The settings under one. */
function below(setting: string, schema: Schema): Row[] {
  if (schema.items) return below(`${setting}[]`, schema.items);
  if (schema.additionalProperties) return below(`${setting}.<name>`, schema.additionalProperties);
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).flatMap(([name, property]) => {
    // The kind is what the heading says.
    if (property.const !== undefined) return [];
    return rows(`${setting}.${name}`, property, required.includes(name));
  });
}

function rows(setting: string, schema: Schema, required: boolean): Row[] {
  const row = {
    setting,
    expected: expectedOf(schema),
    fallback: required ? "required" : fallbackOf(schema),
    meaning: schema.description ?? "",
  };
  if (schema.items?.properties) return [row, ...below(setting, schema)];
  // Where a value has several forms, one of them may be settings.
  const settings = schema.properties ? schema : schema.anyOf?.find(({ properties }) => properties);
  return [row, ...(settings ? below(setting, settings) : [])];
}

function expectedOf(schema: Schema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.enum) return schema.enum.join(", ");
  if (schema.items) return `a list, each ${expectedOf(schema.items)}`;
  if (schema.type === "boolean") return "true or false";
  return schema.properties ? "settings" : "text";
}

function fallbackOf(schema: Schema): string {
  return schema.default === undefined || schema.properties ? "" : `\`${String(schema.default)}\``;
}

function table(all: readonly Row[]): string {
  if (all.length === 0) return "";
  const lines = all.map(({ setting, expected, fallback, meaning }) => {
    if (meaning === "") throw new Error(`${setting} has no description in the schema`);
    const cells = [`\`${setting}\``, expected, fallback, meaning];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return ["", "| setting | expected | default | meaning |", "|---|---|---|---|", ...lines, ""].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.stdout.write(reference());
