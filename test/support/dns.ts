/** A DNS server on loopback for one name, whose addresses a test changes: what a headless Service of Kubernetes is. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { decode, encode } from "dns-packet";

export interface DnsServer {
  readonly port: number;
  /** What the name stands for from now on, once the cache has forgotten what it stood for before. */
  resolve(addresses: readonly string[]): void;
  close(): Promise<void>;
}

/**
 * @param name is answered for, and nothing else
 * @param cacheMs for how long an answer is repeated once it was given, as CoreDNS and the node's cache do
 */
export async function startDns(name: string, cacheMs: number): Promise<DnsServer> {
  let current: readonly string[] = [];
  let cached: { readonly addresses: readonly string[]; readonly until: number } | undefined;
  const lookUp = () => {
    const now = performance.now();
    if (!cached || now >= cached.until) cached = { addresses: current, until: now + cacheMs };
    return cached.addresses;
  };

  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address }) => {
    const { id, questions = [] } = decode(message);
    const asked = questions.some((question) => question.type === "A" && question.name === name);
    const answers = asked ? lookUp().map((data) => ({ type: "A" as const, name, ttl: 0, data })) : [];
    socket.send(encode({ type: "response", id: id ?? 0, questions, answers }), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    resolve(addresses) {
      current = addresses;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
