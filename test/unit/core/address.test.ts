import { expect, test } from "vitest";
import { formatAddress, fromSameMachine, whyNoListener } from "../../../src/core/address.ts";

test.each([
  ["0.0.0.0", "127.0.0.1:80"],
  ["::", "[::1]:80"],
  ["10.0.0.1", "10.0.0.1:80"],
])("a listener on %s is reached from its own machine at %s", (host, reached) => {
  expect(formatAddress(fromSameMachine({ host, port: 80 }))).toBe(reached);
});

test.each([
  [
    "listen EADDRINUSE: address already in use 127.0.0.1:80",
    "something listens there already; end it, or write another address (EADDRINUSE)",
  ],
  [
    "No address added out of total 1 resolved errors: [listen EACCES: permission denied 127.0.0.1:80]",
    "this user may not; write a port of 1024 or above, or grant the right (EACCES)",
  ],
  ["listen EINVAL: invalid argument", "listen EINVAL: invalid argument"],
  ["Name resolution failed", "Name resolution failed"],
])("why nothing can listen, by what Node and grpc-js say: %s", (message, why) => {
  expect(whyNoListener(new Error(message))).toBe(why);
});
