/**
 * Servers behind one URL die and come back, and routers restart, in an order that a seed gives: nothing runs twice, no answer is
 * another's, and whoever does not use what is away sees nothing of it.
 */
import { randomInt } from "node:crypto";
import { afterAll, beforeAll, expect, onTestFailed, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { type Answer, callMessage, messageOf, post, send } from "../support/http.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import {
  type MortalServer,
  type RanMessage,
  resourceAt,
  type Scheme,
  startMortalServer,
  TOOLS,
} from "../support/mortal-server.ts";
import { randomFrom } from "../support/random.ts";
import { stored } from "../support/stored.ts";

/** Gives the same order again of deaths, restarts and requests, as far as that is ours to say. */
const SEED = Number(process.env.CHAOS_SEED ?? randomInt(2 ** 31));
const PATH = "/mcp";
const CLIENTS = 20;
const LEVELS = ["debug", "info", "warning", "error"] as const;
/** Of all requests for one server, how many read a resource that it lists, and one that it does not. The others call a tool. */
const NOTES = 0.15;
const LOOSE = 0.05;
/** For what takes as long as it takes. */
const PATIENT = { timeout: 120_000 };
/** While a server is away, so many requests are answered by those that are there. */
const MEANWHILE = { least: 30, most: 150 };

/**
 * What happens, once each, in an order that the seed gives: who dies at once, and whether a router restarts meanwhile. So each server
 * with sessions dies five times, and twice more at the end: the brake on recovery lets a session begin eight times in a row.
 */
const ROUNDS = [
  { dying: ["one"], restarts: false },
  { dying: ["one"], restarts: false },
  { dying: ["two"], restarts: false },
  { dying: ["two"], restarts: false },
  { dying: ["one", "two"], restarts: false },
  { dying: [], restarts: true },
  { dying: ["one"], restarts: true },
  { dying: ["two"], restarts: true },
  { dying: ["one", "two"], restarts: true },
] as const;

type Mortal = (typeof ROUNDS)[number]["dying"][number];
const MORTALS: readonly Mortal[] = ["one", "two"];
const BACKENDS = [...MORTALS, "plain"] as const;
type Backend = (typeof BACKENDS)[number];

const random = randomFrom(SEED);
let redis: RunningRedis;
let servers: Record<Backend, MortalServer>;
let fleet: Fleet;

beforeAll(async () => {
  redis = await startRedis();
  servers = {
    one: await startMortalServer("one"),
    two: await startMortalServer("two", { json: true }),
    plain: await startMortalServer("plain", { sessions: "none" }),
  };
  // On a machine that is busy with other things all this takes longer than it may by default.
  const timeouts = { initialize: "40s" };
  fleet = await startFleet(2, {
    log: { level: "fatal" },
    processor: { messageTimeout: "60s", drain: "60s" },
    store: { kind: "redis", url: redis.url, timeout: "10s" },
    lists: { timeout: "30s" },
    backends: Object.fromEntries(BACKENDS.map((name) => [name, { endpoints: [servers[name].endpoint], timeouts }])),
    routes: [{ path: PATH, backends: BACKENDS }],
  });
});
afterAll(async () => {
  await fleet?.stop();
  await redis?.stop();
  await Promise.all(Object.values(servers ?? {}).map((server) => server.die()));
});

interface Client {
  readonly name: string;
  readonly session: string;
  readonly subscribed: string;
  /** What it has set last. */
  level: string;
}

type Tool = (typeof TOOLS)[number];
type What = { readonly kind: "call"; readonly tool: Tool } | { readonly kind: "read"; readonly scheme: Scheme };

interface Done {
  readonly backend: Backend;
  readonly what: What;
  readonly client: Client;
  /** No other has it. */
  readonly id: string;
  readonly answer: Answer;
  readonly began: number;
  readonly ended: number;
}

const ask = ({ session }: Pick<Client, "session">, message: object) =>
  post(fleet.port, PATH, message, { "mcp-session-id": session });

async function connect(name: string): Promise<Client> {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name, version: "1" } };
  const { headers } = await post(fleet.port, PATH, requestMessage("initialize", params));
  const client = { name, session: String(headers["mcp-session-id"]), subscribed: name.replace(" ", "-"), level: "" };
  await ask(client, notificationMessage("notifications/initialized"));
  await setLevel(client);
  for (const server of MORTALS) {
    const { result } = messageOf(
      await ask(client, requestMessage("resources/subscribe", { uri: resourceAt("note", server, client.subscribed) })),
    );
    expect(result).toEqual({});
  }
  return client;
}

/** Sets another level than it has now. */
async function setLevel(client: Client): Promise<void> {
  client.level = random.one(LEVELS.filter((level) => level !== client.level));
  const { result } = messageOf(await ask(client, requestMessage("logging/setLevel", { level: client.level })));
  expect(result).toEqual({});
}

function chosen(): What {
  const chance = random.next();
  if (chance < LOOSE) return { kind: "read", scheme: "loose" };
  if (chance < LOOSE + NOTES) return { kind: "read", scheme: "note" };
  return { kind: "call", tool: random.one(TOOLS) };
}

let requests = 0;

/** Asks one server for something, as the seed has it. */
async function use(client: Client, backend: Backend): Promise<Done> {
  const id = `${backend}-${requests++}`;
  const what = chosen();
  const message =
    what.kind === "call"
      ? callMessage(`${backend}__${what.tool}`, { id }, id)
      : requestMessage("resources/read", { uri: resourceAt(what.scheme, backend, id) }, id);
  const began = performance.now();
  const answer = await ask(client, message);
  return { backend, what, client, id, answer, began, ended: performance.now() };
}

interface Message {
  readonly id?: unknown;
  readonly result?: { readonly content?: readonly { readonly text: string }[]; readonly contents?: readonly object[] };
  readonly error?: { readonly message: string; readonly data?: { readonly backend?: string } };
}

/** What the server said that ran the call; undefined where it did not, or where the answer is another's. */
function ranBy({ backend, what, id, answer }: Done): RanMessage | undefined {
  const message: Message = messageOf(answer);
  const text = message.id === id && what.kind === "call" ? message.result?.content?.[0]?.text : undefined;
  if (text === undefined) return undefined;
  const ran: RanMessage = JSON.parse(text);
  return ran.server === backend && what.kind === "call" && ran.tool === what.tool && ran.id === id ? ran : undefined;
}

function isWell(done: Done): boolean {
  const { backend, what, id, answer } = done;
  if (answer.status !== 200) return false;
  if (what.kind === "call") return ranBy(done) !== undefined;
  const uri = resourceAt(what.scheme, backend, id);
  const message: Message = messageOf(answer);
  const read = message.result?.contents?.[0];
  return message.id === id && JSON.stringify(read) === JSON.stringify({ uri, text: `${backend}: ${uri}` });
}

/** All that was answered, and those who wait for some of it. */
class Answered {
  readonly all: Done[] = [];
  readonly #waiting = new Set<{ readonly holds: () => boolean; readonly resolve: () => void }>();

  add(done: Done): void {
    this.all.push(done);
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  /** Resolves when so many more of these have been answered well. */
  async more(count: number, isCounted: (done: Done) => boolean): Promise<void> {
    let next = this.all.length;
    let left = count;
    const holds = () => {
      for (; next < this.all.length; next++) {
        const done = this.all[next];
        if (done && isCounted(done) && isWell(done)) left--;
      }
      return left <= 0;
    };
    await new Promise<void>((resolve) => this.#waiting.add({ holds, resolve }));
  }

  /** Resolves when each client has used the server that is back. */
  async settled(server: MortalServer, clients: readonly Client[]): Promise<void> {
    const back = server.absences.at(-1)?.to ?? 0;
    const without = new Set(clients);
    await this.more(clients.length, ({ backend, client, began }) => {
      return backend === server.name && began > back && without.delete(client);
    });
  }
}

/** Chaos under load: ends when all of ROUNDS are over, and everybody is back at work. */
async function chaos(clients: readonly Client[], answered: Answered): Promise<void> {
  /** Ends a server, and brings it back when the others have gone on without it. */
  const lose = async (name: Mortal) => {
    const server = servers[name];
    const meanwhile = answered.more(random.between(MEANWHILE), ({ backend }) => backend === "plain");
    await server.die();
    await meanwhile;
    // Those who have called it since wait for a session there, which is to be told of the new level all the same.
    await Promise.all(clients.map(setLevel));
    // Nobody may find a connection to the life before, of which Envoy does not know yet that it is gone.
    await expect.poll(() => fleet.envoy.stat(`cluster.${name}.upstream_cx_active`), PATIENT).toBe(0);
    await server.revive();
  };
  const restart = async () => {
    const router = random.one(fleet.routers);
    expect(await router.end()).toBe(0);
    await router.start();
    const known = () => fleet.envoy.stat("cluster.mcp_router.membership_healthy");
    await expect.poll(known, PATIENT).toBe(fleet.routers.length);
  };
  const settle = (names: readonly Mortal[]) =>
    Promise.all(names.map((name) => answered.settled(servers[name], clients)));

  for (const { dying, restarts } of random.shuffled(ROUNDS)) {
    await Promise.all([...dying.map(lose), restarts && restart()]);
    await settle(dying);
  }
  // Once more, and again while the clients are still coming back.
  for (const name of random.shuffled(MORTALS)) {
    await lose(name);
    await answered.more(random.between({ least: 1, most: CLIENTS }), ({ backend }) => backend === name);
    await lose(name);
  }
  await settle(MORTALS);
}

test(`${CLIENTS} clients use three servers while two of them die and routers restart`, async () => {
  onTestFailed(() => void process.stderr.write(`for the same order again: CHAOS_SEED=${SEED}\n`));
  const began = performance.now();
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => connect(`client ${n}`)));
  const answered = new Answered();
  let over = false;
  const work = async (client: Client, backend: Backend) => {
    while (!over) answered.add(await use(client, backend));
  };
  const working = Promise.all(clients.flatMap((client) => BACKENDS.map((backend) => work(client, backend))));
  try {
    await chaos(clients, answered);
  } finally {
    over = true;
    await working;
  }

  const wells = answered.all.filter(isWell);
  const failed = answered.all.filter((done) => !isWell(done));
  const deaths = MORTALS.reduce((sum, name) => sum + servers[name].absences.length, 0);
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(
    `chaos: ${answered.all.length} requests, ${failed.length} failed; ${deaths} deaths in ${seconds} s; seed ${SEED}\n`,
  );

  // What fails does so in band, by the name of its server, and while that was away.
  for (const { backend, what, id, answer } of failed) {
    const { error, ...message } = messageOf(answer) as Message;
    expect({ status: answer.status, id: message.id }, answer.body).toEqual({ status: 200, id });
    // Of several that are away, and that a router does not know yet, each may have a resource: the first of them is named.
    const named = what.kind === "read" ? MORTALS : [backend];
    expect(named, answer.body).toContain(error?.data?.backend);
    expect(error?.message).toContain(`Backend ${error?.data?.backend} failed`);
  }
  const whileThere = failed.filter(({ backend, began: from, ended: to }) =>
    servers[backend].absences.every((absence) => to < absence.from || from > absence.to),
  );
  expect(whileThere).toEqual([]);

  // What was answered ran once, where it was said to, and nothing ran twice.
  expect(wells.filter(({ what, backend, id }) => what.kind === "call" && servers[backend].times(id) !== 1)).toEqual([]);
  for (const name of BACKENDS) {
    const ran = [...servers[name].ran];
    expect(ran.filter((id) => servers[name].times(id) > 1 || !id.startsWith(`${name}-`))).toEqual([]);
  }

  // Each session at a server was one client's.
  const users = new Map<string, Client>();
  for (const done of wells) {
    const session = ranBy(done)?.session;
    if (session === undefined) continue;
    expect(users.get(session) ?? done.client).toBe(done.client);
    users.set(session, done.client);
  }

  // Each client has come through, and has at each server what it had set.
  for (const client of clients)
    for (const backend of BACKENDS) {
      const id = `${backend}-${client.name}`;
      const { result } = messageOf(await ask(client, callMessage(`${backend}__left`, { id }))) as Message;
      const ran: RanMessage = JSON.parse(result?.content?.[0]?.text ?? "{}");
      expect(ran).toMatchObject({ server: backend, tool: "left", id });
      if (backend === "plain") continue;
      const subscribed = new Set([resourceAt("note", backend, client.subscribed)]);
      expect(servers[backend].told(ran.session)).toEqual({ level: client.level, subscribed });
    }

  // No client has cost a server more than one session for each of its lives, and none is left.
  for (const name of BACKENDS)
    for (const begun of servers[name].begun()) expect(begun).toHaveLength(new Set(begun).size);
  for (const name of MORTALS) expect(servers[name].clientSessions).toHaveLength(CLIENTS);
  const ended = await Promise.all(
    clients.map(({ session }) =>
      send({ port: fleet.port, method: "DELETE", path: PATH, headers: { "mcp-session-id": session } }),
    ),
  );
  expect(ended.filter(({ status }) => status !== 204)).toEqual([]);
  for (const name of MORTALS) await expect.poll(() => servers[name].clientSessions, PATIENT).toEqual([]);
  const { keys, leases } = await stored(redis);
  expect(keys.filter((key) => key.endsWith(":s") || key.endsWith(":l"))).toEqual([]);
  expect(leases).toEqual([]);
}, 600_000);
