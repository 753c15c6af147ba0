import { expect, test } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import { askRouter } from "../../../src/check/router.ts";
import { startHttpServer } from "../../support/scripted-server.ts";

test.each([
  [200, "router: runs, and is ready", false],
  [503, "the router runs, and is not ready", true],
])("a router that answers %i: %s", async (status, text, isWarning) => {
  const paths: (string | undefined)[] = [];
  const router = await startHttpServer(({ url }, response) => {
    paths.push(url);
    response.writeHead(status).end();
  });
  const says = await askRouter({ host: "0.0.0.0", port: router.port });
  await router.close();
  expect(says).toEqual({ text: expect.stringContaining(text), isWarning });
  expect(says.text).toContain(`http://127.0.0.1:${router.port}/readyz`);
  expect(paths).toEqual(["/readyz"]);
});

test("a router that is not there is warned of, with the reason", async () => {
  const says = await askRouter({ host: "127.0.0.1", port: await freePort() });
  expect(says).toEqual({
    text: expect.stringMatching(/does not answer at .*processor\.http\): .*ECONNREFUSED/),
    isWarning: true,
  });
});

test("a router without an address to ask at is not asked", async () => {
  expect(await askRouter(undefined)).toEqual({
    text: expect.stringContaining("processor.http is not set"),
    isWarning: false,
  });
});
