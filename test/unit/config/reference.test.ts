import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reference } from "../../../scripts/configuration-reference.ts";

test("docs/configuration.md is what the schema says (otherwise: make generate)", () => {
  const written = readFileSync(join(import.meta.dirname, "../../../docs/configuration.md"), "utf8");
  expect(written).toBe(reference());
});
