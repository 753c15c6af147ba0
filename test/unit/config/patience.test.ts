import { expect, test } from "vitest";
import { storePatience } from "../../../src/config/patience.ts";

test.each([
  ["the default", { timeout: 500 }, 5_000, 3_000],
  ["what Envoy's message timeout leaves after three commands, if that is less", { timeout: 500 }, 2_000, 500],
  ["zero, if that leaves nothing", { timeout: 500 }, 1_500, 0],
  ["what is set", { timeout: 500, patience: 10 }, 5_000, 10],
])("the patience with a store is %s", (_, store, messageTimeout, patience) => {
  expect(storePatience(store, { messageTimeout })).toBe(patience);
});
