/** TCP ports on loopback for the servers of a test, the demo or the bench: free ones, and what answers on the others. */
import { connect, createServer, type Server } from "node:net";

// Below the kernel's ephemeral range, so that no outgoing connection takes a port between our look and its use.
const LOWEST = 10_240;
const HIGHEST = 32_000;

/**
 * Programs that ask here run side by side, and use some ports long after they have asked. So each has blocks of ports of its own: it
 * claims one by listening on the block's first port, which the kernel gives back however the program ends.
 */
const BLOCK = 64;
const BLOCKS = Math.floor((HIGHEST - LOWEST) / BLOCK);

/** Ports of the last claimed block that were not given out. */
let block: Promise<number[]> = Promise.resolve([]);

/** A port that nothing listens on now, and that neither this program nor another one that asks here has been given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const current = block;
    const port = (await current).shift();
    if (port !== undefined && (await canListen(port))) return port;
    // Whoever asks at the same moment takes the same new block.
    if (port === undefined && block === current) block = claimBlock();
  }
}

async function claimBlock(): Promise<number[]> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let n = 0; n < BLOCKS; n++) {
    const first = LOWEST + BLOCK * ((start + n) % BLOCKS);
    const claim = await listenOn(first);
    claim?.unref();
    if (claim) return Array.from({ length: BLOCK - 1 }, (_, port) => first + 1 + port);
  }
  throw new Error(`all blocks of ports from ${LOWEST} to ${HIGHEST} are taken: end the programs that listen there`);
}

/** Whether a server could listen on this port of loopback now. */
export async function canListen(port: number): Promise<boolean> {
  const server = await listenOn(port);
  if (server) await new Promise((resolve) => server.close(resolve));
  return server !== undefined;
}

/** A server on this port of loopback; undefined where it cannot be had. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

/** Whether something takes connections on this port of loopback, or at the path of a Unix socket. */
export function accepts(at: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(typeof at === "string" ? { path: at } : { port: at, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Status of a GET; undefined while nothing answers. */
export async function statusOf(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.status;
  } catch {
    return undefined;
  }
}
