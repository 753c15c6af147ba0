import { expect, test } from "vitest";
import { memberOf } from "../core/federated.ts";
import { createServer, openCatalogue } from "./backends.ts";

test("an operator sees what each backend offers, what the routes make of it, and what is wrong", async () => {
  const one = createServer({ tools: ["search", "read"], resources: ["file:///a"], modern: ["2026-07-28"] });
  const two = createServer({ tools: ["search"] });
  const dead = { script: () => ({ status: 500 }) };
  const members = [memberOf("one", { prefix: "" }), memberOf("two", { prefix: "" }), memberOf("dead")];
  const { demand, clock, catalogue, names } = openCatalogue({ one, two, dead }, members);
  expect(catalogue.report()).toMatchObject({ backends: [], routes: [{ path: "/all", tools: [] }] });
  expect(names()).toEqual([]);
  await demand();
  await clock.pass(500);
  expect(JSON.parse(JSON.stringify(catalogue.report()))).toEqual({
    backends: [
      {
        backend: "one",
        path: "/mcp",
        prefix: "",
        lists: "shared",
        eras: ["legacy", "modern"],
        version: "2025-06-18",
        serverInfo: { name: "server" },
        capabilities: { tools: { listChanged: true }, prompts: {}, resources: {} },
        offered: {
          tools: { items: 2, bytes: 32, leftOut: 0, duplicates: 0, age: 500 },
          prompts: { items: 0, bytes: 0, leftOut: 0, duplicates: 0, age: 500 },
          resources: { items: 1, bytes: 30, leftOut: 0, duplicates: 0, age: 500 },
          templates: { items: 0, bytes: 0, leftOut: 0, duplicates: 0, age: 500 },
        },
        asked: { age: 500, failure: null },
      },
      expect.objectContaining({ backend: "two", eras: ["legacy"], asked: { age: 500, failure: null } }),
      {
        backend: "dead",
        path: "/mcp",
        prefix: "dead__",
        lists: "shared",
        eras: [],
        capabilities: {},
        offered: {},
        asked: { age: 500, failure: "the backend answers 500" },
      },
    ],
    byPrincipal: { principals: 0, bytes: 0 },
    routes: [
      {
        path: "/all",
        tools: [
          { key: "read", backend: "one" },
          { key: "search", backend: "one" },
        ],
        prompts: [],
        resources: [{ key: "file:///a", backend: "one" }],
        templates: [],
        hidden: 0,
        pins: undefined,
        collisions: [{ list: "tools", key: "search", kept: "one", leftOut: "two" }],
      },
    ],
  });
});
