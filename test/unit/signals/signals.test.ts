import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALL_LISTS } from "../../../src/core/federation/kinds.ts";
import { openNoSignals, readSignal, type Signal, writeSignal } from "../../../src/signals/signals.ts";

const OWN = "router-1";
const OTHER = "router-2";

const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "__proto__", "files", '"', "\n"));
const anySignal: fc.Arbitrary<Signal> = fc.oneof(
  fc.record({ kind: fc.constantFrom("changed", "listening", "ended"), key: text }),
  fc.record({ kind: fc.constant("lists"), source: text, list: fc.constantFrom(...ALL_LISTS), digest: text }),
  fc.record({ kind: fc.constant("announced"), principal: text, source: text }),
  fc.record({
    kind: fc.constant("own-lists"),
    principal: text,
    source: text,
    list: fc.constantFrom(...ALL_LISTS),
    digest: text,
  }),
  fc.record({ kind: fc.constantFrom("wanted", "joining", "joined"), key: text, backend: text }),
);

describe("a signal", () => {
  test("is read by other routers as it was told, and by its own not at all", () => {
    fc.assert(
      fc.property(anySignal, (signal) => {
        const written = writeSignal(OTHER, signal);
        expect(readSignal(OWN, written)).toEqual(signal);
        expect(readSignal(OTHER, written)).toBeUndefined();
      }),
    );
  });

  test("of a later version is read without what this one does not know", () => {
    const signal = { kind: "changed", key: "k" } as const;
    const later = JSON.stringify({ from: OTHER, version: 2, backend: "files", ...signal });
    expect(readSignal(OWN, later)).toEqual(signal);
  });

  test.each([
    ["of a kind that is unknown", { kind: "moved", key: "k" }],
    ["without a kind", { key: "k" }],
    ["of a session without a key", { kind: "changed" }],
    ["of a session with a key that is no text", { kind: "ended", key: 1 }],
    ["of a stream without a key", { kind: "wanted", backend: "files" }],
    ["of a stream without a backend", { kind: "joining", key: "k" }],
    ["of a stream with a backend that is no text", { kind: "joined", key: "k", backend: ["files"] }],
    ["of a list without its backend", { kind: "lists", list: "tools", digest: "d" }],
    ["of a list that is unknown", { kind: "lists", source: "files", list: "tasks", digest: "d" }],
    [
      "of a list that is named as a member of all objects",
      { kind: "lists", source: "files", list: "constructor", digest: "d" },
    ],
    ["of a list without a digest", { kind: "lists", source: "files", list: "tools" }],
    ["of a list with a digest that is no text", { kind: "lists", source: "files", list: "tools", digest: null }],
    ["of a principal's lists without the principal", { kind: "announced", source: "files" }],
    ["of a principal's lists without their backend", { kind: "announced", principal: "p" }],
    ["of a principal's list without the principal", { kind: "own-lists", source: "files", list: "tools", digest: "d" }],
    [
      "of a principal's list that is unknown",
      { kind: "own-lists", principal: "p", source: "files", list: "tasks", digest: "d" },
    ],
    ["of a principal's list without a digest", { kind: "own-lists", principal: "p", source: "files", list: "tools" }],
  ])("is ignored that is %s", (_, signal) => {
    expect(readSignal(OWN, JSON.stringify({ from: OTHER, ...signal }))).toBeUndefined();
  });

  test.each(["", "changed", "{", "null", "1", '"changed"', "[]", '[{"kind":"changed","key":"k"}]', "{}"])(
    "is none in %j",
    (junk) => {
      expect(readSignal(OWN, junk)).toBeUndefined();
    },
  );
});

test("a router alone hears nothing of what it tells", async () => {
  const heard: Signal[] = [];
  const signals = openNoSignals((signal) => heard.push(signal));
  signals.tell({ kind: "changed", key: "k" });
  await signals.close();
  expect(heard).toEqual([]);
});
