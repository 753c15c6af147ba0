import { expect, test } from "vitest";
import { formatAddress, fromSameMachine } from "../../../src/core/address.ts";

test.each([
  ["0.0.0.0", "127.0.0.1:80"],
  ["::", "[::1]:80"],
  ["10.0.0.1", "10.0.0.1:80"],
])("a listener on %s is reached from its own machine at %s", (host, reached) => {
  expect(formatAddress(fromSameMachine({ host, port: 80 }))).toBe(reached);
});
