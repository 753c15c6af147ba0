import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import { readBytes } from "../../../src/http/body.ts";
import { serveHttp } from "../../../src/http/server.ts";

test.each([
  ["head", "POST / HTTP/1.1\r\nhost: rou"],
  ["body", "POST / HTTP/1.1\r\nhost: router\r\ncontent-length: 100\r\n\r\n{"],
])("a request whose %s does not arrive is cut in time, and keeps nobody else waiting", async (_, begun) => {
  const owner = new AsyncDisposableStack();
  onTestFinished(() => owner.disposeAsync());
  const address = { host: "127.0.0.1", port: await freePort() };
  const server = await serveHttp(
    address,
    async (request, response) => void response.end(String((await readBytes(request, 1_000))?.length)),
    () => undefined,
    "test",
    100,
  );
  owner.adopt(server, (it) => it.close());
  const slow = connect(address.port, address.host);
  owner.defer(() => void slow.destroy());
  let said = "";
  slow.on("data", (bytes) => {
    said += bytes;
  });
  const cut = once(slow, "close");
  slow.write(begun);
  const answered = await fetch(`http://127.0.0.1:${address.port}/`, { method: "POST", body: "whole" });
  expect(await answered.text()).toBe("5");
  await cut;
  expect(said).toMatch(/^HTTP\/1.1 408 /);
});
