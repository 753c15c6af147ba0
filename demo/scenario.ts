/** What the demo's clients do, each kind of request once, and what they must get. Nothing here knows that a gateway is there. */
import type { Client } from "@modelcontextprotocol/client";
import { check } from "./journal.ts";
import { manyServers } from "./many-servers.ts";
import { connect, eventStream, type OnStage, PATIENCE, type Play, post, refused, textOf, until } from "./stage.ts";

/** Seconds and steps of the tool that takes its time. */
const SLOW = { duration: 1, steps: 5 };

interface Scene {
  readonly title: string;
  readonly run: (play: OnStage) => Promise<void>;
}

/** Plays every scene, also after one failed. Gives what went wrong with a scene as a whole. */
export async function playAll(play: Play): Promise<string[]> {
  const failures: string[] = [];
  for (const { title, run } of SCENES) {
    play.journal.section(title);
    const clients = new AsyncDisposableStack();
    try {
      await run({ ...play, clients });
    } catch (error) {
      failures.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await clients.disposeAsync();
    }
  }
  return failures;
}

const SCENES: readonly Scene[] = [
  { title: "alice: one session with every kind of message, from initialize to DELETE", run: oneWholeSession },
  { title: "bob and carol at once: each stays at the endpoint where the session began", run: twoAtOnce },
  { title: "dave: the other route, to the other backend", run: theOtherRoute },
  { title: "erin: protocol 2026-07-28, without a session", run: modern },
  { title: "frank: the server is killed in the middle of a session, and comes back without it", run: throughARestart },
  { title: "grace: several servers behind one URL, of which one is killed and comes back", run: manyServers },
  { title: "mallory: what the gateway refuses by itself", run: refusals },
];

async function oneWholeSession(play: OnStage): Promise<void> {
  const { journal, paths } = play;
  const capabilities = { sampling: {}, elicitation: {} };
  const { client, transport } = await connect(play, "alice", paths.everything, { capabilities });
  client.setRequestHandler("sampling/createMessage", () => ({
    model: "demo",
    role: "assistant",
    content: { type: "text", text: "forty-two" },
  }));
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "Ada", check: true } }));
  const listening = await eventStream(journal, "alice");

  const { tools } = await client.listTools();
  check(
    journal.last("alice", "tools/list"),
    tools.some(({ name }) => name === "echo"),
    `${tools.length} tools`,
  );

  const echo = textOf(await client.callTool({ name: "echo", arguments: { message: "hello" } }));
  check(journal.last("alice", "tools/call echo"), echo === "Echo: hello", '"Echo: hello"', echo);

  await slowCall(play, client);

  const sampled = textOf(await client.callTool({ name: "trigger-sampling-request", arguments: { prompt: "6 × 7?" } }));
  const asked = journal.last("alice", "tools/call trigger-sampling-request");
  check(asked, sampled.includes("forty-two"), "has what the client's model said", sampled);
  journal.last("alice", "answer to sampling/createMessage");

  const elicited = textOf(await client.callTool({ name: "trigger-elicitation-request", arguments: {} }));
  const form = journal.last("alice", "tools/call trigger-elicitation-request");
  check(form, elicited.includes("Ada"), "has what the client's user typed", elicited);
  journal.last("alice", "answer to elicitation/create");

  const uri = "demo://resource/dynamic/text/1";
  await client.subscribeResource({ uri });
  await client.callTool({ name: "toggle-subscriber-updates", arguments: {} });
  const updated = () =>
    listening.arrivals.some(
      ({ message }) => "method" in message && message.method === "notifications/resources/updated",
    );
  await until(updated, "an event on the GET stream");
  check(listening, true, "an update of a resource arrived on it");

  const { sessionId = "" } = transport;
  await transport.terminateSession();
  check(journal.last("alice", "DELETE"), true, "the session ends");
  await client.close();
  await post(play, "alice", paths.everything, { jsonrpc: "2.0", id: "after", method: "ping" }, sessionId);
  refused(journal.last("alice"), 404, -32001, "after");
}

/** A tool that reports its progress: each event must come when it is sent, not all with the answer. */
async function slowCall({ journal }: Play, client: Client): Promise<void> {
  const seen: number[] = [];
  await client.callTool(
    { name: "trigger-long-running-operation", arguments: SLOW },
    { onprogress: ({ progress }) => void seen.push(progress), timeout: PATIENCE },
  );
  const call = journal.last("alice", "tools/call trigger-long-running-operation");
  check(call, seen.join() === "1,2,3,4,5", "progress 1 to 5 in order", seen);
  const [first, last] = [call.arrivals[0], call.arrivals.at(-1)];
  const early = Math.round((last?.at ?? 0) - (first?.at ?? 0));
  check(
    call,
    call.arrivals.length === SLOW.steps + 1 && early > SLOW.duration * 500,
    `the first ${early} ms before the answer`,
  );
  check(call, call.contentType === "text/event-stream", "as events", call.contentType);
}

async function twoAtOnce(play: OnStage): Promise<void> {
  const [bob, carol] = await Promise.allSettled([staysWhereItBegan(play, "bob"), staysWhereItBegan(play, "carol")]);
  if (bob.status === "rejected") throw bob.reason;
  if (carol.status === "rejected") throw carol.reason;
  if (!play.oneWorker) return;
  const endpoints = [bob.value, carol.value];
  const begun = play.journal.last("carol", "initialize");
  check(begun, endpoints[0] !== endpoints[1], "at another endpoint than bob's", endpoints);
}

/** Opens a session and asks it three times who serves it. Gives the endpoint where it began. */
async function staysWhereItBegan(play: OnStage, name: string): Promise<string | null> {
  const { client } = await connect(play, name, play.paths.everything);
  await eventStream(play.journal, name);
  for (let n = 0; n < 3; n++) await whereAmI(play, name, client);
  return (await play.logged(play.journal.last(name, "initialize"))).upstream;
}

/** Which endpoint served, by the server's own word: it tells its environment, and PORT is in it. */
async function whereAmI(play: Play, name: string, client: Client): Promise<void> {
  const environment = textOf(await client.callTool({ name: "get-env", arguments: {} }));
  const port = /"PORT": "(\d+)"/.exec(environment)?.[1];
  const call = play.journal.last(name, "tools/call get-env");
  const { upstream } = await play.logged(call);
  check(call, upstream?.endsWith(`:${port}`) ?? false, `the server says it is :${port}`);
}

/** The server forgets the session; neither the client nor what it sees of the session knows. */
async function throughARestart(play: OnStage): Promise<void> {
  const { journal } = play;
  const { client, transport } = await connect(play, "frank", play.paths.everything);
  await eventStream(journal, "frank");
  await whereAmI(play, "frank", client);
  const { upstream } = await play.logged(journal.last("frank", "initialize"));
  await play.killServer(upstream ?? "");
  await play.startServer(upstream ?? "");

  const echo = textOf(await client.callTool({ name: "echo", arguments: { message: "still there?" } }));
  const call = journal.last("frank", "tools/call echo");
  call.lost = true;
  check(call, echo === "Echo: still there?", "answered, in a new session of the server's", echo);
  await whereAmI(play, "frank", client);
  await transport.terminateSession();
  check(journal.last("frank", "DELETE"), true, "the session ends");
}

async function theOtherRoute(play: OnStage): Promise<void> {
  const { journal, paths } = play;
  const { client, transport } = await connect(play, "dave", paths.memory);
  await eventStream(journal, "dave");
  const entity = { name: "Envoy", entityType: "proxy", observations: ["routes MCP"] };
  await client.callTool({ name: "create_entities", arguments: { entities: [entity] } });
  const graph = textOf(await client.callTool({ name: "read_graph", arguments: {} }));
  check(journal.last("dave", "tools/call read_graph"), graph.includes("routes MCP"), "has the entity", graph);

  const { sessionId } = transport;
  await post(play, "dave", paths.everything, { jsonrpc: "2.0", id: 1, method: "tools/list" }, sessionId);
  refused(journal.last("dave"), 404, -32001, 1);
  check(journal.last("dave"), true, "a session is of one route");
  await transport.terminateSession();
  check(journal.last("dave", "DELETE"), true, "the session ends");
}

async function modern(play: OnStage): Promise<void> {
  const { journal } = play;
  const versionNegotiation = { mode: { pin: "2026-07-28" } };
  const { client } = await connect(play, "erin", play.paths.memory, { versionNegotiation });
  check(journal.last("erin", "server/discover"), true, "both eras on one route");
  const { tools } = await client.listTools();
  check(
    journal.last("erin", "tools/list"),
    tools.some(({ name }) => name === "read_graph"),
    `${tools.length} tools`,
  );
  const graph = textOf(await client.callTool({ name: "read_graph", arguments: {} }));
  const call = journal.last("erin", "tools/call read_graph");
  check(call, graph.includes("routes MCP"), "has dave's entity", graph);
  check(call, call.contentType === "application/json", "as JSON", call.contentType);
}

async function refusals(play: OnStage): Promise<void> {
  const { journal, paths } = play;
  const unknown = Buffer.alloc(32, 7).toString("base64url");
  await post(play, "mallory", paths.everything, { jsonrpc: "2.0", id: "guess-1", method: "tools/list" }, unknown);
  refused(journal.last("mallory"), 404, -32001, "guess-1");
  check(journal.last("mallory"), true, "an unknown session");
  await post(play, "mallory", paths.everything, '{"jsonrpc": "2.0", "id": 1, "method": ');
  refused(journal.last("mallory"), 400, -32700, undefined);
  check(journal.last("mallory"), true, "no JSON");
}
