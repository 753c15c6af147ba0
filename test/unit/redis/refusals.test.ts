import { expect, test } from "vitest";
import { createRefusals } from "../../../src/redis/refusals.ts";

function open() {
  let now = 1_000;
  const refusals = createRefusals(() => now);
  const pass = (ms: number) => {
    now += ms;
  };
  return { refusals, pass };
}

test("each reason is told once, and one that Redis alone knows is another", () => {
  const { refusals } = open();
  expect(refusals.current()).toEqual([]);
  expect(refusals.refused("create", "OOM command not allowed")).toBe("OOM");
  expect(refusals.refused("hold", "OOM command not allowed")).toBe("OOM");
  expect(refusals.refused("touch", "NOPERM no permissions")).toBe("NOPERM");
  expect(refusals.refused("bind", "STRANGE words")).toBe("other");
  expect(refusals.current()).toEqual(["OOM", "NOPERM", "other"]);
});

test("what an operation was refused for is over when it is done, and all is when the last one is", () => {
  const { refusals } = open();
  refusals.refused("create", "OOM command not allowed");
  refusals.refused("touch", "NOPERM no permissions");
  expect(refusals.accepted("find")).toBe(false);
  expect(refusals.accepted("create")).toBe(false);
  expect(refusals.current()).toEqual(["NOPERM"]);
  expect(refusals.accepted("touch")).toBe(true);
  expect(refusals.current()).toEqual([]);
  expect(refusals.accepted("touch")).toBe(false);
});

test("what nobody asked for any more for a minute is over", () => {
  const { refusals, pass } = open();
  refusals.refused("create", "OOM command not allowed");
  pass(59_999);
  expect(refusals.current()).toEqual(["OOM"]);
  refusals.refused("create", "OOM command not allowed");
  pass(59_999);
  expect(refusals.current()).toEqual(["OOM"]);
  pass(1);
  expect(refusals.current()).toEqual([]);
});
