/** What undici may reject, throw or emit without anybody of ours who waits for it: nothing of it is untaken. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { createEgress } from "../../../src/backends/client.ts";
import { nothingUntaken } from "../../support/untaken.ts";
import { BACKEND } from "../core/policy.ts";

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\nsome";

const owner = nothingUntaken(5);

/** An egress whose Envoy does this with each connection that says something. */
async function open(serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("data", () => serve(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner().defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  // Safe: it listens on a port.
  const egress = createEgress(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  owner().defer(() => egress.close());
  const call = {
    purpose: "recovery",
    to: { backend: BACKEND, query: "" },
    session: undefined,
    method: "POST",
    headers: [],
    body: "{}",
  } as const;
  const send = (signal: AbortSignal) => egress.send(call, signal);
  return { egress, send };
}

const settled = (promise: Promise<unknown>) =>
  promise.then(
    () => "resolved",
    () => "rejected",
  );

test("Envoy closes the connection without a word (Client: onError)", async () => {
  const { send } = await open((socket) => socket.destroy());
  expect(await settled(send(new AbortController().signal))).toBe("rejected");
});

test("Envoy says no HTTP (Client: HTTPParserError)", async () => {
  const { send } = await open((socket) => socket.write("nonsense\r\n\r\n"));
  expect(await settled(send(new AbortController().signal))).toBe("rejected");
});

test("a call is aborted before its answer (RequestHandler: abort)", async () => {
  const abort = new AbortController();
  const { send } = await open(() => abort.abort(new Error("the request has ended")));
  expect(await settled(send(abort.signal))).toBe("rejected");
});

test.each<[string, "abort" | "reset" | "close"]>([
  ["the call is aborted", "abort"],
  ["Envoy resets it", "reset"],
  ["the egress is closed", "close"],
])("a body that nobody reads yet is cut off: %s (BodyReadable: error)", async (_, how) => {
  const abort = new AbortController();
  let socket: Socket | undefined;
  const { send, egress } = await open((it) => {
    socket = it;
    it.write(HEAD);
  });
  const answer = await send(abort.signal);
  const closed = new Promise<void>((resolve) => answer.body.once("close", () => resolve()));
  if (how === "abort") abort.abort(new Error("the request has ended"));
  if (how === "reset") socket?.resetAndDestroy();
  if (how === "close") await egress.close();
  await closed;
});

test.each<[string, "abort" | "reset"]>([
  ["the call is aborted", "abort"],
  ["Envoy resets it", "reset"],
])("a body that nobody wants is cut off while it is thrown away: %s (BodyReadable: dump)", async (_, how) => {
  const abort = new AbortController();
  let socket: Socket | undefined;
  const { send } = await open((it) => {
    socket = it;
    it.write(HEAD);
  });
  const answer = await send(abort.signal);
  const closed = new Promise<void>((resolve) => answer.body.once("close", () => resolve()));
  answer.discard();
  if (how === "abort") abort.abort(new Error("the request has ended"));
  else socket?.resetAndDestroy();
  await closed;
});
