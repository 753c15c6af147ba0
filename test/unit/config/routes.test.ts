/** Routes and the backends that they lead to. */
import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections } from "./sections.ts";

test.each(["/mcp", "/mcp/"])("a route's path may be %s, and means the same", (path) => {
  const config = load({ routes: [{ path, backends: ["one"] }] });
  expect(config.routes.map((route) => route.path)).toEqual(["/mcp"]);
  expect([...requestPolicy(config).routes]).toEqual([["/mcp", expect.objectContaining({ path: "/mcp" })]]);
});

describe("what is not supported yet is refused by name", () => {
  test.each<[Sections, string]>([
    [
      {
        backends: { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] } },
        routes: [{ path: "/mcp", backends: ["one", "two"] }],
      },
      'routes[0].backends: got "one, two", a federated route, which is not supported yet',
    ],
    [
      { routes: [{ path: "/mcp", backends: ["one", "one"] }] },
      'routes[0].backends: got "one, one", a federated route, which is not supported yet',
    ],
  ])("%j", (over, error) => {
    expect(errorsOf(over)).toEqual([expect.stringContaining(error)]);
  });
});
