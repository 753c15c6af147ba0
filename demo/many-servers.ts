/** The demo's scene on a federated route: one session and one list for several servers, of which one is killed meanwhile. */
import type { Client } from "@modelcontextprotocol/client";
import { check, type Exchange } from "./journal.ts";
import { connect, eventStream, type OnStage, textOf } from "./stage.ts";

/** A call of each backend's server, and what its answer must hold. */
const CALLS: Readonly<Record<string, { readonly tool: string; readonly args: object; readonly answer: string }>> = {
  everything: { tool: "echo", args: { message: "one URL" }, answer: "Echo: one URL" },
  memory: { tool: "read_graph", args: {}, answer: "answers for all" },
  time: {
    tool: "convert_time",
    args: { source_timezone: "UTC", time: "12:00", target_timezone: "Asia/Tokyo" },
    answer: "T21:00",
  },
};

/** The one that is killed: it keeps what it knows in a file, and so knows it again. */
const KILLED = "memory";

export async function manyServers(play: OnStage): Promise<void> {
  const { journal, paths, backends } = play;
  const { client, transport } = await connect(play, "grace", paths.all);
  await eventStream(journal, "grace");
  await listsAll(play, client);

  const entity = { name: "Gateway", entityType: "router", observations: ["answers for all"] };
  await client.callTool({ name: `${KILLED}__create_entities`, arguments: { entities: [entity] } });
  check(journal.last("grace", `tools/call ${KILLED}__create_entities`), true, "its session is opened by this call");
  for (const backend of backends) await callOne(play, client, backend);

  const { upstream } = await play.logged(journal.last("grace", `tools/call ${KILLED}__read_graph`));
  await play.killServer(upstream ?? "");
  // It waits for its server, while the others answer.
  const waiting = callOne(play, client, KILLED);
  for (const backend of backends.filter((name) => name !== KILLED)) {
    check(await callOne(play, client, backend), true, `while ${KILLED} is away`);
  }
  await listsAll(play, client);
  await play.startServer(upstream ?? "");
  const lost = await waiting;
  lost.lost = true;
  check(lost, true, "in a new session, once its server was back");
  for (const backend of backends) await callOne(play, client, backend);

  await transport.terminateSession();
  const ended = journal.last("grace", "DELETE");
  ended.expected = 204;
  check(ended, true, "the session ends");
}

/** The list has tools of each server, under the server's name. */
async function listsAll({ journal, backends }: OnStage, client: Client): Promise<void> {
  const { tools } = await client.listTools();
  const of = (backend: string) => tools.filter(({ name }) => name.startsWith(`${backend}__`)).length;
  const counts = backends.map((backend) => `${of(backend)} of ${backend}`).join(", ");
  const complete = backends.every((backend) => of(backend) > 0);
  const other = tools.length - backends.reduce((sum, backend) => sum + of(backend), 0);
  check(
    journal.last("grace", "tools/list"),
    complete && other === 0,
    counts,
    tools.map(({ name }) => name),
  );
}

async function callOne({ journal }: OnStage, client: Client, backend: string): Promise<Exchange> {
  const call = CALLS[backend];
  if (!call) throw new Error(`the demo has no call for the backend "${backend}"`);
  const text = textOf(await client.callTool({ name: `${backend}__${call.tool}`, arguments: { ...call.args } }));
  const exchange = journal.last("grace", `tools/call ${backend}__${call.tool}`);
  check(exchange, text.includes(call.answer), `says "${call.answer}"`, text);
  return exchange;
}
