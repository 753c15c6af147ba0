import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const DOCKERFILE = readFileSync(join(ROOT, "Dockerfile"), "utf8");

test("the image's label says the version of the package", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  expect(/^ARG VERSION=(.*)$/m.exec(DOCKERFILE)?.[1]).toBe(version);
});

test("the image gives node the flags that the program asks for in its first line", () => {
  const [, flags = ""] = /^#!.* node (.*)\n/.exec(readFileSync(join(ROOT, "src/main.ts"), "utf8")) ?? [];
  const [, entry = ""] = /^ENTRYPOINT (\[.*main\.js.*\])$/m.exec(DOCKERFILE) ?? [];
  expect(flags).not.toBe("");
  expect(JSON.parse(entry)).toEqual(["node", ...flags.split(" "), "/app/dist/main.js"]);
});
