import { describe, expect, test } from "vitest";
import type { ResourceMetadata } from "../../../src/core/identity.ts";
import { challengeTo, metadataReply, metadataUrl } from "../../../src/core/resource-metadata.ts";
import { fields } from "./fields.ts";
import { ROUTE } from "./policy.ts";

const METADATA: ResourceMetadata = {
  resource: undefined,
  authorizationServers: ["https://issuer"],
  scopes: ["mcp", "files"],
};
const identity = (over: Partial<ResourceMetadata> = {}) =>
  ({ kind: "jwt", issuer: "https://issuer", required: true, metadata: { ...METADATA, ...over } }) as const;
const routesOf = (...paths: string[]) => new Map(paths.map((path) => [path, { ...ROUTE, path }]));
const head = (over: Readonly<Record<string, string>> = {}) =>
  fields({ ":method": "GET", ":authority": "mcp.example.com", "x-forwarded-proto": "https", ...over });
const AT = "/.well-known/oauth-protected-resource";

function document(path: string, routes: readonly string[], over: Partial<ResourceMetadata> = {}, of = head()) {
  const reply = metadataReply(of, path, { identity: identity(over), routes: routesOf(...routes) });
  return reply && { status: reply.status, ...JSON.parse(String(reply.body)) };
}

describe("the metadata of a resource", () => {
  test("says what it is, where tokens come from, and what they are to have", () => {
    const reply = metadataReply(head(), `${AT}/mcp`, { identity: identity(), routes: routesOf("/mcp") });
    expect(reply).toMatchObject({ kind: "reply", status: 200, details: "mcp_resource_metadata" });
    expect(reply?.headers).toContainEqual(["content-type", "application/json"]);
    expect(JSON.parse(String(reply?.body))).toEqual({
      resource: "https://mcp.example.com/mcp",
      authorization_servers: ["https://issuer"],
      scopes_supported: ["mcp", "files"],
      bearer_methods_supported: ["header"],
    });
  });

  test.each<[string, readonly string[], string | undefined]>([
    [`${AT}/mcp`, ["/mcp", "/x"], "https://mcp.example.com/mcp"],
    [`${AT}/mcp/`, ["/mcp"], "https://mcp.example.com/mcp"],
    [`${AT}//mcp`, ["/mcp"], "https://mcp.example.com/mcp"],
    [`${AT}/x/mcp`, ["/mcp", "/x/mcp"], "https://mcp.example.com/x/mcp"],
    [AT, ["/mcp"], "https://mcp.example.com/mcp"],
    [`${AT}/`, ["/mcp"], "https://mcp.example.com/mcp"],
    [AT, ["/mcp", "/x"], "https://mcp.example.com"],
    [AT, ["/"], "https://mcp.example.com"],
    [`${AT}/other`, ["/mcp"], undefined],
    [`${AT}x`, ["/mcp"], undefined],
    [`/mcp${AT}`, ["/mcp"], undefined],
    ["/.well-known/oauth-authorization-server", ["/mcp"], undefined],
  ])("at %s, with routes %j, is of %s", (path, routes, resource) => {
    expect(document(path, routes)?.resource).toBe(resource);
  });

  test("is by the scheme and the host of the request", () => {
    const of = head({ "x-forwarded-proto": "http", ":authority": "[::1]:8080" });
    expect(document(`${AT}/mcp`, ["/mcp"], {}, of)?.resource).toBe("http://[::1]:8080/mcp");
  });

  test("is the one of the configuration, where that says so, at each path", () => {
    const over = { resource: "https://public.example/x" };
    for (const path of [AT, `${AT}/mcp`]) expect(document(path, ["/mcp"], over)?.resource).toBe(over.resource);
    expect(metadataUrl(over)).toBe("https://public.example/.well-known/oauth-protected-resource/x");
    expect(metadataUrl({ resource: "https://public.example/" })).toBe(
      "https://public.example/.well-known/oauth-protected-resource",
    );
  });

  test.each(["https://h", "https://h/", "https://h/mcp", "https://h/apps", "https://h/apps/"])(
    "is where a challenge says it is, with the resource %s",
    (resource) => {
      const path = new URL(metadataUrl({ resource }) ?? "").pathname;
      expect(document(path, ["/apps/a", "/apps/b"], { resource })?.resource).toBe(resource);
    },
  );

  test("names no scopes where there are none", () => {
    expect(document(AT, ["/mcp"], { scopes: [] })).not.toHaveProperty("scopes_supported");
  });

  test("is only read", () => {
    expect(document(AT, ["/mcp"], {}, head({ ":method": "HEAD" }))?.status).toBe(200);
    const reply = metadataReply(head({ ":method": "POST" }), AT, { identity: identity(), routes: routesOf("/mcp") });
    expect(reply).toMatchObject({ status: 405, headers: [["allow", "GET, HEAD"]] });
  });

  test.each([
    { kind: "none" } as const,
    { kind: "header", name: "x-user", required: true } as const,
    { kind: "jwt", issuer: "issuer", required: true, metadata: undefined } as const,
  ])("is not there with %j", (none) => {
    expect(metadataReply(head(), `${AT}/mcp`, { identity: none, routes: routesOf("/mcp") })).toBeUndefined();
    expect(challengeTo(head(), "/mcp", none)).toBe("Bearer");
  });
});

describe("a challenge", () => {
  test("names the metadata and the scopes, and no error where there is no token", () => {
    expect(challengeTo(head(), "/mcp", identity())).toBe(
      'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp files"',
    );
  });

  test("says that a token is no good", () => {
    expect(challengeTo(head({ authorization: "Bearer x" }), "/", identity({ scopes: [] }))).toBe(
      'Bearer error="invalid_token", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"',
    );
  });

  test("names the document of the configured resource", () => {
    expect(challengeTo(head(), "/mcp", identity({ resource: "https://public.example/x", scopes: [] }))).toBe(
      'Bearer resource_metadata="https://public.example/.well-known/oauth-protected-resource/x"',
    );
  });
});
