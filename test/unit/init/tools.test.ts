import { expect, test } from "vitest";
import { countTools, type Page } from "../../../src/init/tools.ts";

/** Answers by cursor; undefined is the first page. */
function pages(answers: Readonly<Record<string, unknown>>) {
  return async (cursor: string | undefined): Promise<Page> => {
    const answer = answers[cursor ?? ""];
    return typeof answer === "string" ? { why: answer } : { bytes: Buffer.from(JSON.stringify(answer)) };
  };
}

const page = (tools: number, nextCursor?: string) => ({ result: { tools: Array(tools).fill({}), nextCursor } });

test("tools are counted to the end of the list", async () => {
  expect(await countTools(pages({ "": page(3, "b"), b: page(2) }))).toEqual({
    kind: "counted",
    count: 5,
    isWhole: true,
  });
});

test("a list without an end is counted no further than a hundred pages", async () => {
  expect(await countTools(pages({ "": page(1, "a"), a: page(1, "a") }))).toEqual({
    kind: "counted",
    count: 100,
    isWhole: false,
  });
});

test.each([
  [{ "": "it answers 503" }, "it answers 503"],
  [{ "": page(1, "b"), b: { error: {} } }, "no list of tools"],
  [{ "": { result: { tools: {} } } }, "no list of tools"],
])("a list that is not answered is told as such: %j", async (answers, why) => {
  expect(await countTools(pages(answers))).toEqual({ kind: "failed", why });
});
