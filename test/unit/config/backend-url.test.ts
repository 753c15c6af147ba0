/** Backends that are written as their URL. */
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";

const BASE = {
  gateway: { listen: "0.0.0.0:8080", hosts: ["gw.example"] },
  routes: [{ path: "/mcp", backends: ["one"] }],
};

function load(one: unknown) {
  return loadConfig(JSON.stringify({ ...BASE, backends: { one } }));
}

function placeOf(one: unknown) {
  const loaded = load(one);
  if (!loaded.ok) throw new Error(loaded.errors.join("; "));
  const { endpoints, path, host, tls } = loaded.config.backends[0] ?? {};
  return { endpoints, path, host, tls };
}

function errorsOf(one: unknown) {
  const loaded = load(one);
  return loaded.ok ? [] : loaded.errors;
}

describe("a URL stands for endpoints, path, host and tls:", () => {
  test.each([
    ["http://127.0.0.1:3001/mcp", { host: "127.0.0.1", port: 3001 }, "/mcp", "127.0.0.1:3001", undefined],
    ["http://files.local/a/b/", { host: "files.local", port: 80 }, "/a/b/", "files.local", undefined],
    ["http://files.local:8000", { host: "files.local", port: 8000 }, "/", "files.local:8000", undefined],
    [
      "https://mcp.example/@me/mcp",
      { host: "mcp.example", port: 443 },
      "/@me/mcp",
      "mcp.example",
      { sni: "mcp.example" },
    ],
    [
      "https://MCP.example:8443/x",
      { host: "mcp.example", port: 8443 },
      "/x",
      "mcp.example:8443",
      { sni: "mcp.example" },
    ],
    ["http://[::1]:3001/mcp", { host: "::1", port: 3001 }, "/mcp", "[::1]:3001", undefined],
  ])("%s", (url, endpoint, path, host, tls) => {
    const place = { endpoints: [endpoint], path, host, tls };
    expect(placeOf(url)).toEqual(place);
    expect(placeOf({ url })).toEqual(place);
  });

  test("but for a host and TLS that are written beside it", () => {
    const own = { host: "in.example", tls: { sni: "cert.example", ca: "/ca.pem" } };
    expect(placeOf({ url: "https://10.0.0.1/mcp", ...own })).toMatchObject({
      endpoints: [{ host: "10.0.0.1", port: 443 }],
      ...own,
    });
  });

  test("and other settings stand beside it", () => {
    const loaded = load({ url: "http://a:1/mcp", timeouts: { call: "3s" } });
    expect(loaded.ok && loaded.config.backends[0]?.timeouts.call).toBe(3_000);
  });
});

describe("what is no URL of a server is refused:", () => {
  test.each([
    "files",
    "",
    "a:3001",
    "ftp://a/mcp",
    "http://",
    "http://a/mcp?key=SECRET",
    "http://a?key=SECRET",
    "http://a/mcp#x",
    "http://user:SECRET@a/mcp",
    "http://a:70000/mcp",
    "http://a b/mcp",
  ])("%j", (url) => {
    const [error = "", ...more] = errorsOf(url);
    expect(error).toMatch(
      /^backends\.one\.url: got .*, expected the URL of an MCP server such as "http:\/\/127\.0\.0\.1:3001\/mcp"/,
    );
    expect(error).not.toContain("SECRET");
    expect(more).toEqual([]);
    expect(errorsOf({ url })).toEqual([error]);
  });

  test.each([
    [{ url: "http://a/mcp", endpoints: ["a:80"] }, "endpoints: url says it already; remove one of the two"],
    [{ url: "http://a/mcp", path: "/mcp" }, "path: url says it already; remove one of the two"],
    [{ url: "http://a/mcp", tls: { sni: "a" } }, "tls: url begins with http://; write https://, or remove tls"],
    [
      "https://10.0.0.1/mcp",
      "url: TLS to an IP address needs the name that its certificate has; write tls: { sni: NAME } as well",
    ],
    ["http://127.0.0.1:8080/mcp", 'url: got "127.0.0.1:8080", which is gateway.listen: '],
  ])("%j", (written, error) => {
    expect(errorsOf(written)).toEqual([expect.stringContaining(`backends.one.${error}`)]);
  });
});
