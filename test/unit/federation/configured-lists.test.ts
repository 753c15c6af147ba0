import { expect, test } from "vitest";
import { NOTHING_ACCEPTED, type Pins } from "../../../src/core/federation/pins.ts";
import { createConfiguredLists } from "../../../src/federation/configured-lists.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";

const PINS: Pins = { file: "pins.json", onChange: "hide", ...NOTHING_ACCEPTED };

test.each<[string, Pins | undefined, Pins | undefined, boolean]>([
  ["accept something else", PINS, { ...PINS, version: "2" }, true],
  ["are there now", undefined, PINS, true],
  ["are gone", PINS, undefined, true],
  ["hide nothing any more", PINS, { ...PINS, onChange: "warn" }, true],
  ["stand in another file that accepts the same", PINS, { ...PINS, file: "other.json" }, false],
])("clients are told of changed tools where the pins %s", (_, before, after, isTold) => {
  const routeWith = (pins: Pins | undefined) => federatedRoute([memberOf("one")], { pins });
  let route = routeWith(before);
  const changes = createConfiguredLists(() => [route]);
  route = routeWith(after);
  expect([...(changes().get("/all") ?? [])]).toEqual(isTold ? ["notifications/tools/list_changed"] : []);
});
