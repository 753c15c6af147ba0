import { expect, test } from "vitest";
import { ByteCollector } from "../../../src/core/bytes.ts";

test("pieces become one, and what was taken stays as it is", () => {
  const collector = new ByteCollector();
  for (const text of ["a", "", "bc", "def"]) collector.append(Buffer.from(text));
  expect(collector.length).toBe(6);
  const taken = collector.take();
  collector.append(Buffer.from("x"));
  expect(Buffer.from(taken).toString()).toBe("abcdef");
  expect(Buffer.from(collector.take()).toString()).toBe("x");
  expect(collector.take()).toHaveLength(0);
});
