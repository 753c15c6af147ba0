/** Mistakes of users who come from other gateways, and the answers to them. */
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";

const BASE = {
  gateway: { listen: "0.0.0.0:8080", hosts: ["gw.example"] },
  backends: { one: { endpoints: ["10.0.0.1:3001"] } },
  routes: [{ path: "/mcp", backends: ["one"] }],
};

function said(over: object) {
  const loaded = loadConfig(JSON.stringify({ ...BASE, ...over }));
  return loaded.ok ? loaded.warnings.map((warning) => `warning: ${warning}`) : loaded.errors;
}

const at = (...endpoints: string[]) => ({ backends: { one: { endpoints } } });

describe("an endpoint that is Envoy or the router itself is refused:", () => {
  const listen = (address: string) => ({ gateway: { listen: address, hosts: ["gw.example"] } });
  test.each<[string, string, object]>([
    ["gateway.listen", "10.0.0.5:8080", listen("10.0.0.5:8080")],
    ["gateway.listen", "127.0.0.1:8080", {}],
    ["gateway.listen", "localhost:8080", {}],
    ["gateway.listen", "LOCALHOST:8080", listen("127.0.0.1:8080")],
    ["gateway.listen", "[::1]:8080", listen("[::]:8080")],
    ["gateway.listen", "127.0.0.2:8080", {}],
    ["gateway.listen", "0.0.0.0:8080", {}],
    ["egress.listen", "127.0.0.1:8081", {}],
    ["egress.listen", "localhost:8081", {}],
    ["processor.streams.listen", "127.0.0.1:50151", { processor: { streams: {} } }],
    ["egress.address", "envoy:8081", { egress: { listen: "0.0.0.0:8081", address: "envoy:8081" } }],
    ["processor.listen", "localhost:50051", {}],
    ["processor.listen", "127.0.0.1:50052", { processor: { workers: 2 }, store: { kind: "redis", url: "redis://r" } }],
    ["processor.http", "127.0.0.1:9090", { processor: { http: "0.0.0.0:9090" } }],
    ["envoy.admin", "127.0.0.1:9901", { envoy: { admin: "127.0.0.1:9901" } }],
  ])("%s by %s", (setting, endpoint, over) => {
    expect(said({ ...over, ...at("10.0.0.1:3001", endpoint) })).toEqual([
      expect.stringContaining(`backends.one.endpoints[1]: got "${endpoint}", which is ${setting}: `),
    ]);
  });

  test.each([
    ["10.0.0.5:8080", {}],
    ["127.0.0.1:8082", {}],
    ["server.example:8080", {}],
    ["127.0.0.1:8080", { gateway: { listen: "10.0.0.5:8080", hosts: ["gw.example"] } }],
    ["127.0.0.1:8080", { istio: { namespace: "mcp", selector: { app: "x" } } }],
  ])("but %s may be another server with %j", (endpoint, over) => {
    expect(said({ ...over, ...at(endpoint) })).toEqual([]);
  });
});

test("a duplicate endpoint is refused, whatever its case; two backends may share one", () => {
  expect(said(at("Server:3001", "b:3001", "server:3001"))).toEqual([
    'backends.one.endpoints[2]: got "server:3001", the same as endpoints[0]',
  ]);
  const backends = { one: { endpoints: ["a:1"] }, two: { endpoints: ["a:1"], path: "/other" } };
  const routes = Object.keys(backends).map((name) => ({ path: `/${name}`, backends: [name] }));
  expect(said({ backends, routes })).toEqual([]);
});

test("a backend without a route causes a warning", () => {
  expect(said({ backends: { ...BASE.backends, spare: { endpoints: ["a:1"] } } })).toEqual([
    "warning: backends.spare: no route leads to it, so no client reaches it",
  ]);
});

test.each([
  ["/mcp/*", "routes[0].path"],
  ["/mcp/:id", "routes[0].path"],
  ["/**", "routes[0].path"],
])("a glob in a route's path is matched literally, with a warning: %s", (path, where) => {
  expect(said({ routes: [{ path, backends: ["one"] }] })).toEqual([
    `warning: ${where}: "${path}" is matched literally: paths have no wildcards`,
  ]);
});

test("so is a glob in a backend's path", () => {
  expect(said({ backends: { one: { endpoints: ["a:1"], path: "/mcp/*" } } })).toEqual([
    expect.stringContaining('warning: backends.one.path: "/mcp/*" is matched literally'),
  ]);
});

describe("a URL in place of an endpoint is refused with what to write:", () => {
  test.each([
    ["http://host:3001/mcp", "; write a URL as the backend's url, in place of its endpoints and path"],
    ["http://u:p@host:3001/mcp", "; write a URL as the backend's url, in place of its endpoints and path"],
    ["host:70000", "; a port is a number from 1 to 65535"],
    ["host:0", "; a port is a number from 1 to 65535"],
  ])("%s", (endpoint, hint) => {
    const [error = ""] = said(at(endpoint));
    expect(error).toMatch(/^backends\.one\.endpoints\[0\]: got .*, expected an address such as /);
    expect(error.endsWith(hint)).toBe(true);
    expect(error).not.toContain("u:p");
  });
});

test.each([
  [{ tools: ["echo"] }, 'routes[0].tools: got ["echo"], expected settings under it: allow, deny, pin, onChange'],
  [{ tools: null }, "routes[0].tools: empty, expected settings under it; remove the empty key"],
  [{ serverInfo: "all" }, 'routes[0].serverInfo: got "all", expected settings under it: name, title, version'],
])("a value in place of a few settings is refused with their names, unless it is to be removed: %j", (over, error) => {
  expect(said({ routes: [{ path: "/mcp", backends: ["one"], federated: true, ...over }] })).toEqual([error]);
});

test("a server that is given as a command is refused with what to do", () => {
  expect(said({ backends: { one: { command: "npx", endpoints: ["a:1"] } } })).toEqual([
    'backends.one: unknown setting "command"; the router starts no servers: run this one behind an HTTP bridge such as ' +
      "mcp-proxy, and write its url",
  ]);
});

test("the configuration of an MCP client is refused with what to write", () => {
  expect(said({ mcpServers: { one: { command: "npx" } } })).toEqual([
    'top level: unknown setting "mcpServers"; name each server under backends, with its url; a stdio server needs an ' +
      "HTTP bridge such as mcp-proxy",
  ]);
});

test.each([
  ["gateway", { listen: "0.0.0.0:70000" }],
  ["processor", { listen: "127.0.0.1:70000" }],
  ["processor", { http: "127.0.0.1:70000" }],
])("an error about a port out of range tells the range: %s %j", (section, over) => {
  expect(said({ [section]: over })).toEqual([expect.stringMatching(/; a port is a number from 1 to 65535$/)]);
});
