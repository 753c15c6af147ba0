import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ConfigError, readConfig } from "../../../src/config/read.ts";
import { whyUnreadable } from "../../../src/config/unreadable.ts";
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
    errors: [`cannot read ${file}: no such file; pass the path of your mcp-router.yaml with --config`],
    message: expect.stringContaining(file),
  });
});

test("a folder is no file, and nothing is below a file", async () => {
  const errors = (why: string) => ({ errors: [expect.stringContaining(`: ${why}; pass`)] });
  expect(await refusal(directory)).toMatchObject(errors("it is a folder"));
  const file = join(directory, "file");
  writeFileSync(file, "");
  expect(await refusal(join(file, "below"))).toMatchObject(errors("no such file: a folder of its path is a file"));
});

test("a reason without words is told by its code, or as it is", () => {
  expect(whyUnreadable(Object.assign(new Error("bad luck"), { code: "EIO" }))).toBe("EIO");
  expect(whyUnreadable(Object.assign(new Error("bad luck"), { code: "EACCES" }))).toBe("permission denied");
  expect(whyUnreadable(new Error("bad luck"))).toBe("Error: bad luck");
});

test("a file that is wrong comes with each of its errors", async () => {
  const file = join(directory, "wrong.yaml");
  writeFileSync(file, "backends: {}\nroutes: []\n");
  expect(await refusal(file)).toMatchObject({
    file,
    errors: [expect.stringMatching(/^backends: /), expect.stringMatching(/^routes: /)],
  });
});
