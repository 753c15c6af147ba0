import { describe, expect, test } from "vitest";
import { SUBJECTS, subjectOf } from "../../../../src/core/mcp/subjects.ts";
import type { Message, Params } from "../../../../src/core/rpc/message.ts";

const params: Params = {
  start: 0,
  end: 0,
  name: { start: 1, end: 2, value: "the name" },
  uri: { start: 3, end: 4, value: "the uri" },
  taskId: { start: 5, end: 6, value: "the task" },
  protocolVersion: undefined,
  meta: undefined,
};

function request(method: string, about = params): Message {
  return { kind: "request", id: "1", method, params: about };
}

describe("what a message is about", () => {
  test.each([
    ["tools/call", "the name"],
    ["prompts/get", "the name"],
    ["resources/read", "the uri"],
    ["resources/subscribe", "the uri"],
    ["resources/unsubscribe", "the uri"],
    ["tasks/get", "the task"],
    ["tasks/update", "the task"],
    ["tasks/cancel", "the task"],
    ["tasks/result", "the task"],
    ["tools/list", undefined],
    ["initialize", undefined],
    ["constructor", undefined],
    ["__proto__", undefined],
  ])("%s: %s", (method, subject) => {
    expect(subjectOf(request(method))?.value).toBe(subject);
  });

  test("a request without params names nothing", () => {
    expect(subjectOf({ kind: "request", id: "1", method: "tools/call", params: undefined })).toBeUndefined();
  });

  test("params without the member name nothing", () => {
    expect(subjectOf(request("tools/call", { ...params, name: undefined }))).toBeUndefined();
  });

  test("a response names nothing", () => {
    expect(subjectOf({ kind: "response", id: "1" })).toBeUndefined();
  });

  test("only the methods of SEP-2243 and SEP-2663 are mirrored by Mcp-Name", () => {
    const mirrored = [...SUBJECTS].filter(([, subject]) => subject.mirrored).map(([method]) => method);
    expect(mirrored).toEqual([
      "tools/call",
      "prompts/get",
      "resources/read",
      "tasks/get",
      "tasks/update",
      "tasks/cancel",
    ]);
  });
});
