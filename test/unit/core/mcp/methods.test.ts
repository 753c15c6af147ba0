import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as legacy from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, test } from "vitest";
import { methodsReference } from "../../../../scripts/methods-reference.ts";
import { METHODS } from "../../../../src/core/mcp/methods.ts";

/** The methods that the SDK of the legacy era has schemas for. */
function methodsOfSdk(): string[] {
  const methods = Object.values(legacy).flatMap((exported) => {
    const { method } =
      (exported as { readonly shape?: { readonly method?: { readonly value?: unknown } } }).shape ?? {};
    return typeof method?.value === "string" ? [method.value] : [];
  });
  return [...new Set(methods)];
}

describe("the table of methods", () => {
  test("has every method of the legacy SDK's schemas", () => {
    const known = methodsOfSdk();
    expect(known).toContain("tools/call");
    const inLegacy = METHODS.filter(({ eras }) => eras.includes("legacy")).map(({ method }) => method);
    expect(known.filter((method) => !inLegacy.includes(method))).toEqual([]);
  });

  test("has each method once for each side", () => {
    const rows = METHODS.map(({ method, from }) => `${from} ${method}`);
    expect(rows.filter((row, place) => rows.indexOf(row) !== place)).toEqual([]);
  });

  test("says request of those that are asked for, and notification of those that are told", () => {
    const wrong = METHODS.filter(
      ({ method, form }) => (form === "notification") !== method.startsWith("notifications/"),
    );
    expect(wrong).toEqual([]);
  });

  test("renames what leads to one server, or a part of it", () => {
    for (const { method, treatment, renamed } of METHODS) {
      if (treatment.kind !== "one") continue;
      const { by } = treatment;
      const within = renamed.message.filter((path) => by.every((step, place) => path[place] === step));
      expect([method, within.length > 0]).toEqual([method, true]);
    }
  });

  test("mirrors only names that lead to one server, of modern methods", () => {
    const wrong = METHODS.filter(
      ({ mirrored, treatment, eras }) => mirrored && (treatment.kind !== "one" || !eras.includes("modern")),
    );
    expect(wrong).toEqual([]);
  });

  test("counts or remembers only legacy requests of clients: the modern era has no sessions", () => {
    const wrong = METHODS.filter(
      ({ ofSessions, from, form, eras }) =>
        ofSessions && (from !== "client" || form !== "request" || eras.join() !== "legacy"),
    );
    expect(wrong).toEqual([]);
  });

  test("is what docs/internals/mcp-methods.md says (otherwise: make generate)", () => {
    const written = readFileSync(join(import.meta.dirname, "../../../../docs/internals/mcp-methods.md"), "utf8");
    expect(written).toBe(methodsReference());
  });
});
