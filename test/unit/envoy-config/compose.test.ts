import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../../src/config/read.ts";
import { liveBootstrapFor } from "../../../src/envoy-config/bootstrap.ts";

const COMPOSE = join(import.meta.dirname, "../../../envoy/compose");

test("envoy/compose/envoy.yaml is what `make generate` makes of mcp-router.yaml beside it", async () => {
  const { config } = await readConfig(join(COMPOSE, "mcp-router.yaml"));
  expect(await readFile(join(COMPOSE, "envoy.yaml"), "utf8")).toBe(liveBootstrapFor(config));
});
