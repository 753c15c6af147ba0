import { describe, expect, test } from "vitest";
import { errorsOf, load, type Sections } from "./sections.ts";

describe("a store in Redis", () => {
  const redis = (over: Sections) => ({ store: { kind: "redis", ...over } });

  test.each([
    ["redis://h", { at: { kind: "single", host: "h", port: 6379 } }],
    [
      "rediss://u%40:p%3A%C3%A9@[::1]:1/3",
      {
        at: { kind: "single", host: "::1", port: 1 },
        username: "u@",
        password: { kind: "text", text: "p:é" },
        database: 3,
        tls: {},
      },
    ],
    [
      "redis://:p%zz%ff@h:1/",
      { at: { kind: "single", host: "h", port: 1 }, password: { kind: "text", text: "p%zz\ufffd" } },
    ],
  ])("is at %s", (url, store) => {
    expect(load(redis({ url })).store).toEqual({ kind: "redis", prefix: "mcpr", database: 0, timeout: 500, ...store });
  });

  test.each<[Sections, object]>([
    [
      { sentinel: { master: "m", nodes: ["a:1", "b:2"] } },
      {
        at: {
          kind: "sentinel",
          master: "m",
          nodes: [
            { host: "a", port: 1 },
            { host: "b", port: 2 },
          ],
        },
      },
    ],
    [{ cluster: { nodes: ["a:1"] } }, { at: { kind: "cluster", nodes: [{ host: "a", port: 1 }] } }],
    [
      { cluster: { nodes: ["a:1"] }, username: "u", passwordFile: "/p", tls: { ca: "/ca" } },
      { username: "u", password: { kind: "file", file: "/p" }, tls: { ca: "/ca" } },
    ],
    [{ url: "rediss://h", tls: { ca: "/ca" } }, { tls: { ca: "/ca" } }],
    [
      { url: "redis://u@h", passwordFile: "/p" },
      { username: "u", password: { kind: "file", file: "/p" } },
    ],
    [{ url: "redis://h", database: 2 }, { database: 2 }],
  ])("is parsed, with or without a URL: %j", (written, store) => {
    expect(load(redis(written)).store).toMatchObject(store);
  });

  test("reports all its errors at once", () => {
    const url = "redis://u:p@h/1";
    expect(
      errorsOf(redis({ url, cluster: { nodes: ["h:1"] }, username: "u", passwordFile: "/p", database: 1 })),
    ).toEqual([
      "store: got url and cluster, expected one of url, sentinel and cluster",
      "store.username: is also in store.url; set it in one place",
      "store.passwordFile: is also in store.url; set it in one place",
      "store.database: is also in store.url; set it in one place",
    ]);
  });

  test.each<[Sections, string]>([
    [{}, "store: got none of them, expected one of url, sentinel and cluster"],
    [{ url: "redis://h", cluster: { nodes: ["h:1"] } }, "store: got url and cluster, expected one of"],
    [
      { url: "http://h" },
      'store.url: got a text that is not shown because it may be a secret, expected a URL such as "redis:',
    ],
    [{ url: "redis://a:b@h:1/db" }, "store.url: got redis://***@***, expected a URL"],
    [{ url: "redis://a:b@h:70000" }, "store.url: got redis://***@h:70000, expected a URL"],
    [{ sentinel: { master: "m", nodes: [] } }, "store.sentinel.nodes: got [], expected at least one address"],
    [{ cluster: { nodes: ["h:1"] }, database: 1 }, "store.database: got 1, expected 0"],
    [
      { url: "redis://h", timeout: "2s" },
      "store.timeout: got 2s, expected at most a third of processor.messageTimeout (5s)",
    ],
    [
      { url: "redis://h", timeout: "1s", patience: "2001ms" },
      "store.patience: got 2.001s, expected at most processor.messageTimeout minus three times store.timeout (2s)",
    ],
    [{ url: "redis://me@h", username: "me" }, "store.username: is also in store.url"],
    [{ url: "redis://:secret@h", passwordFile: "/p" }, "store.passwordFile: is also in store.url"],
    [{ url: "redis://h/1", database: 2 }, "store.database: is also in store.url"],
    [
      { url: "redis://h", prefix: "{x}" },
      "store.prefix: got a text that is not shown because it may be a secret, expected",
    ],
  ])("that is wrong: %j", (over, error) => {
    expect(errorsOf(redis(over))).toEqual([expect.stringContaining(error)]);
  });
});
