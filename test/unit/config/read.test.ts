import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ConfigError, readConfig } from "../../../src/config/read.ts";
import { directoryOfTests } from "../../support/directory.ts";

const directory = directoryOfTests("read");

async function refusal(file: string): Promise<unknown> {
  return readConfig(file).then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("a good file gives its text and what it says", async () => {
  const file = join(directory, "good.yaml");
  const text = "backends: { one: { endpoints: [h:1] } }\nroutes: [{ path: /mcp, backends: [one] }]\n";
  writeFileSync(file, text);
  const read = await readConfig(file);
  expect(read.text).toBe(text);
  expect(read.config.routes).toMatchObject([
    { kind: "transparent", path: "/mcp", sessions: "optional", backend: { name: "one" } },
  ]);
  expect(read.warnings).toHaveLength(1);
});

test("a file that is not there is named, with the option that names another", async () => {
  const file = join(directory, "no-such.yaml");
  const error = await refusal(file);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({
    file,
    errors: [expect.stringMatching(/^cannot be read: ENOENT.*; pass the path of your mcp-router\.yaml with --config$/)],
    message: expect.stringContaining(file),
  });
});

test("a folder is no file", async () => {
  expect(await refusal(directory)).toMatchObject({ errors: [expect.stringContaining("EISDIR")] });
});

test("a file that is wrong comes with each of its errors", async () => {
  const file = join(directory, "wrong.yaml");
  writeFileSync(file, "backends: {}\nroutes: []\n");
  expect(await refusal(file)).toMatchObject({
    file,
    errors: [expect.stringMatching(/^backends: /), expect.stringMatching(/^routes: /)],
  });
});
