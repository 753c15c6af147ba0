import { describe, expect, test } from "vitest";
import { classifyMessage } from "../../../../src/core/classify-message.ts";
import type { StateChangeAt } from "../../../../src/core/mcp/session-state.ts";
import { fields } from "../fields.ts";
import { POLICY } from "../policy.ts";

/** What is noted of a body, with the text of its params in place of where they stand. */
function noted(body: string): readonly (Omit<StateChangeAt, "params"> & { readonly params: string })[] | undefined {
  const bytes = Buffer.from(body);
  const intent = classifyMessage(bytes, fields({}), { ...POLICY.limits, body: 100_000, name: 50_000 });
  if (intent.kind === "reject") throw new Error(intent.reject.reason);
  if (intent.kind !== "legacy") return undefined;
  return intent.stateChanges?.map((note) => ({
    ...note,
    params: bytes.toString("utf8", note.params.start, note.params.end),
  }));
}

const request = (method: string, params: string) => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`;

describe("a backend's session is changed by", () => {
  test.each([
    ["logging/setLevel", '{ "level":"debug", "n":9007199254740993 }', "level", ""],
    ["resources/subscribe", '{"uri":"file:///\\u00e9 é"}', "subscribe", "file:///é é"],
    ["resources/unsubscribe", '{"uri":"a"}', "unsubscribe", "a"],
  ])("%s, whose params are noted as they were written", (method, params, kind, uri) => {
    expect(noted(request(method, params))).toEqual([{ kind, uri, params }]);
  });

  test("each such message of a batch", () => {
    const level = request("logging/setLevel", '{"level":"debug"}');
    const call = request("tools/call", '{"name":"é"}');
    expect(noted(`[${call}, ${level},${request("resources/subscribe", '{"uri":"a"}')}]`)).toEqual([
      { kind: "level", uri: "", params: '{"level":"debug"}' },
      { kind: "subscribe", uri: "a", params: '{"uri":"a"}' },
    ]);
  });
});

describe("nothing is noted of", () => {
  test.each([
    ["another method", request("tools/call", '{"name":"logging/setLevel"}')],
    ["a level without params", '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel"}'],
    ["a notification", '{"jsonrpc":"2.0","method":"logging/setLevel","params":{"level":"debug"}}'],
    ["a response", '{"jsonrpc":"2.0","id":1,"result":{"uri":"a"}}'],
    ["a subscription to nothing", request("resources/subscribe", "{}")],
    ["a subscription to no string", request("resources/subscribe", '{"uri":1}')],
    ["the end of a subscription to nothing", request("resources/unsubscribe", "{}")],
    ["a batch of others", `[${request("tools/call", '{"name":"a"}')}]`],
    [
      "a modern request",
      request(
        "logging/setLevel",
        '{"level":"debug","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}',
      ),
    ],
  ])("%s", (_, body) => {
    let note: unknown;
    try {
      note = noted(body);
    } catch {
      // Refused: then nothing is noted either.
    }
    expect(note).toBeUndefined();
  });
});
