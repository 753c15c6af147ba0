import { describe, expect, test } from "vitest";
import { hasToSay } from "../../../../src/core/federation/has-to-say.ts";
import type { Offer } from "../../../../src/core/federation/offer.ts";

function offerOf(...capabilities: readonly string[]): Offer {
  return {
    version: "2025-11-25",
    capabilities: new Map(capabilities.map((name) => [name, "{}"])),
    instructions: undefined,
    serverInfo: undefined,
  };
}

/** A client that cannot be asked and has set nothing, at a backend that logs nothing. */
const QUIET = {
  initializeParams: '{"protocolVersion":"2025-11-25","capabilities":{}}',
  hasState: false,
  offer: offerOf("tools", "prompts", "resources", "completions"),
};
const paramsWith = (capabilities: unknown) => JSON.stringify({ protocolVersion: "2025-11-25", capabilities });

describe("a backend has something to say on the stream of a GET", () => {
  test.each(["roots", "sampling", "elicitation"])("to a client that has %s, since it can be asked", (name) => {
    expect(hasToSay({ ...QUIET, initializeParams: paramsWith({ experimental: {}, [name]: {} }) })).toBe(true);
  });

  test("to a client that has set a log level or subscribed", () => {
    expect(hasToSay({ ...QUIET, hasState: true })).toBe(true);
  });

  test("where it logs", () => {
    expect(hasToSay({ ...QUIET, offer: offerOf("tools", "logging") })).toBe(true);
  });

  test("for all that is known, where it has not said what it offers", () => {
    expect(hasToSay({ ...QUIET, offer: undefined })).toBe(true);
  });
});

describe("a backend has nothing to say on the stream of a GET", () => {
  test("where it only has lists, of which the gateway tells", () => {
    expect(hasToSay(QUIET)).toBe(false);
    expect(hasToSay({ ...QUIET, offer: offerOf() })).toBe(false);
  });

  test.each([
    ["has other capabilities", paramsWith({ experimental: { sampling: {} }, Sampling: {} })],
    ["has none", '{"protocolVersion":"2025-11-25"}'],
    ["has a list of them", paramsWith(["roots", "sampling"])],
    ["has a text for them", paramsWith("roots")],
    ["has null for them", paramsWith(null)],
    ["has them elsewhere", '{"roots":{},"capabilities":{}}'],
    ["sent params that are no object", '["roots"]'],
    ["sent params that are no JSON", '{"capabilities":{"roots":{}}'],
    ["sent no params", ""],
  ])("to a client that %s", (_, initializeParams) => {
    expect(hasToSay({ ...QUIET, initializeParams })).toBe(false);
  });
});
