/**
 * What an open GET stream of a session costs the router's memory while no server has anything to say on it. The server is the router's
 * own, in a process of its own, and its HTTP/2 client is in this one, in Envoy's place. Alone: `node bench/open-streams.ts`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { runOwning } from "../harness/owner.ts";
import { freePort } from "../harness/ports.ts";
import { writeStreamOf } from "../src/core/streams.ts";
import { NODE_FLAGS } from "./setups.ts";
import { median } from "./statistics.ts";
import { MCP_PATH, PROTOCOL_VERSION } from "./wire.ts";

const OPEN = 10_000;
/** Enough that garbage, which V8 and malloc keep room for, is little of each. */
const FURTHER = 3 * OPEN;
const PROCESSES = 3;
/** As Envoy has them on one connection. */
const OF_CONNECTION = 100;
/** Of a usual JSON Web Token. */
const TOKEN_BYTES = 450;

/** What a router's process has, after a collection. */
export interface Memory {
  /**
   * Resident bytes, less those of V8's young generation: it keeps what it has grown to (up to three times --max-semi-space-size), for
   * garbage, however many streams there are.
   */
  readonly resident: number;
  /** Bytes on V8's heap. */
  readonly heap: number;
  readonly streams: number;
}

/** Bytes of one stream. */
export interface OpenStreams {
  /** Of the first 10,000, with the room that their garbage took. */
  readonly first: number;
  /** Of 30,000 more. */
  readonly further: number;
  /** Of these, on V8's heap. */
  readonly heap: number;
}

/** Each figure is the median of several processes. */
export async function measureOpenStreams(owner: AsyncDisposableStack): Promise<OpenStreams> {
  const each: OpenStreams[] = [];
  for (let n = 0; n < PROCESSES; n++) each.push(await measureOne(owner));
  const medianOf = (figure: keyof OpenStreams) => median(each.map((one) => one[figure]));
  return { first: medianOf("first"), further: medianOf("further"), heap: medianOf("heap") };
}

async function measureOne(owner: AsyncDisposableStack): Promise<OpenStreams> {
  const port = await freePort();
  const router = fork(join(import.meta.dirname, "open-streams-router.ts"), [String(port)], {
    execArgv: ["--expose-gc", ...NODE_FLAGS],
  });
  owner.defer(() => void router.kill());
  await once(router, "message");
  const sessions: ClientHttp2Session[] = [];
  // The first ones bring code and tables.
  await open(port, OF_CONNECTION, sessions);
  const none = await memoryOf(router);
  await open(port, OPEN, sessions);
  const some = await memoryOf(router);
  await open(port, FURTHER, sessions);
  const more = await memoryOf(router);
  const exited = once(router, "exit");
  router.kill();
  await exited;
  if (more.streams !== OF_CONNECTION + OPEN + FURTHER) throw new Error(`${more.streams} streams are open`);
  return {
    first: (some.resident - none.resident) / OPEN,
    further: (more.resident - some.resident) / FURTHER,
    heap: (more.heap - some.heap) / FURTHER,
  };
}

async function memoryOf(router: ChildProcess): Promise<Memory> {
  router.send("memory");
  const [memory] = await once(router, "message");
  return memory;
}

/** Streams of which each has had its first bytes. */
async function open(port: number, count: number, sessions: ClientHttp2Session[]): Promise<void> {
  for (let opened = 0; opened < count; opened += OF_CONNECTION) {
    const session = connect(`http://127.0.0.1:${port}`);
    // Its server is killed.
    session.on("error", () => undefined);
    sessions.push(session);
    await Promise.all(Array.from({ length: OF_CONNECTION }, () => openOne(session)));
  }
}

async function openOne(session: ClientHttp2Session): Promise<void> {
  const stream = session.request(headOf());
  stream.on("error", () => undefined);
  await once(stream, "data");
}

/** What Envoy sends of a client's GET: everything of a client's own is different in each. */
function headOf() {
  const random = (bytes: number) => randomBytes(bytes).toString("base64url");
  return {
    ":method": "GET",
    ":path": MCP_PATH,
    ":authority": "gateway.example:8080",
    accept: "text/event-stream",
    "accept-encoding": "gzip, deflate",
    "user-agent": "node",
    authorization: `Bearer ${random(TOKEN_BYTES)}`,
    "mcp-protocol-version": PROTOCOL_VERSION,
    "mcp-session-id": random(32),
    "x-request-id": random(24),
    "x-forwarded-proto": "http",
    "x-mcp-backend": "mcp_streams",
    "x-mcp-stream": writeStreamOf({ key: random(32), owner: random(32), path: MCP_PATH }),
  };
}

if (import.meta.main)
  await runOwning(async (owner) => {
    console.log(await measureOpenStreams(owner));
    return true;
  });
