import { expect, test } from "vitest";
import { heldSessionKey, mintSessionId, parseSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";

test("an id is 43 characters of base64url, well-formed, and never the same twice", () => {
  const ids = new Set(Array.from({ length: 1_000 }, mintSessionId));
  expect(ids.size).toBe(1_000);
  for (const id of ids) expect(parseSessionId(id)).toBe(id);
});

test.each([
  "",
  "short",
  "A".repeat(42),
  "A".repeat(44),
  `${"A".repeat(42)}=`,
  `${"A".repeat(42)}é`,
  `${"A".repeat(42)}\n`,
])("%j is no id of ours", (text) => {
  expect(parseSessionId(text)).toBeUndefined();
});

test("the key and the tag of an id are digests that do not hold it", () => {
  const id = mintSessionId();
  const key = sessionKey(id);
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(sessionKey(id)).toBe(key);
  expect(key).not.toBe(sessionKey(mintSessionId()));
  expect(sessionTag(key)).toBe(key.slice(0, 16));
  expect(key).not.toContain(id.slice(0, 8));
});

test("the key of a session that the gateway holds is that of a principal on a route, everywhere the same", () => {
  const key = heldSessionKey("ada", "/mcp");
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(heldSessionKey("ada", "/mcp")).toBe(key);
  expect(new Set([key, heldSessionKey("eve", "/mcp"), heldSessionKey("ada", "/other")]).size).toBe(3);
});
