/** Configurations that are written for others. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readConfigText } from "../../../src/config/read.ts";
import { bootstrapFor } from "../../../src/envoy-config/bootstrap.ts";
import { lintEnvoy } from "../../../src/envoy-config/lint.ts";

const ROOT = join(import.meta.dirname, "../../..");
const EXAMPLES = globSync("examples/*/mcp-router.yaml", { cwd: ROOT });

test.each(EXAMPLES)("%s is right, gives no reason to warn, and so is what Envoy is told of it", (file) => {
  const { config, warnings } = readConfigText(file, readFileSync(join(ROOT, file), "utf8"));
  expect(warnings).toEqual([]);
  expect(lintEnvoy(parse(bootstrapFor(config)), config)).toEqual([]);
});

test("there are examples", () => {
  expect(EXAMPLES.length).toBeGreaterThan(1);
});
