import { expect, test } from "vitest";
import { backendNames } from "../../../src/init/names.ts";

const named = (...names: (string | undefined)[]) =>
  backendNames(names.map((name) => ({ name, url: "http://files.example.com:3001/mcp" })));

test.each([
  ["mcp-servers/everything", "everything"],
  ["TimeServer", "time"],
  ["Files & Folders (MCP server)", "files-folders"],
  ["mcp-server", "mcp-server"],
  ["x".repeat(100), "x".repeat(24)],
  ["a very long name of a thing indeed", "a-very-long-name-of-a-th"],
  ["Übersicht", "bersicht"],
  ["服务器", "files"],
  ["", "files"],
  [undefined, "files"],
])("%j becomes %j", (name, expected) => {
  expect(named(name)).toEqual([expected]);
});

test("a server without a name has that of its host, and an address says so", () => {
  expect(backendNames([{ name: undefined, url: "http://127.0.0.1:3001/mcp" }])).toEqual(["127-0-0-1"]);
});

test("no two are the same", () => {
  expect(named("files", "files", "files-2", "Files")).toEqual(["files", "files-2", "files-2-2", "files-3"]);
});
