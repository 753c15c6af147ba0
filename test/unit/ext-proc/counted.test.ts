/** What Envoy's filters are to count of a request, as Envoy reads it. */
import { expect, test } from "vitest";
import type { CountedCalls } from "../../../src/core/call-limits.ts";
import type { Verdict } from "../../../src/core/http.ts";
import { encodeResponse } from "../../../src/ext-proc/encode.ts";
import { theirProtos } from "../../support/envoy-protos.ts";

const TheirResponse = theirProtos("envoy/service/ext_proc/v3/external_processor.proto").lookupType(
  "envoy.service.ext_proc.v3.ProcessingResponse",
);

const COUNTED: CountedCalls = {
  hits: [{ limit: { name: "mine", tools: [["*"]], per: "all", calls: 10, seconds: 60 }, calls: 3 }],
  principal: "ada",
  retryAfter: 18,
  id: '"\\u00e9"',
};
const VERDICT: Verdict = {
  kind: "mutate",
  set: [["x-mcp-backend", "one"]],
  remove: [],
  clearRoute: true,
  counted: COUNTED,
};

test.each([
  ["a request", VERDICT],
  ["a request whose body is replaced", { ...VERDICT, body: Buffer.from("{}") }],
])("of %s stands in the dynamic metadata, beside what else is said", (_, verdict) => {
  const bytes = encodeResponse("request_body", verdict);
  const read = TheirResponse.toObject(TheirResponse.decode(bytes)) as {
    readonly dynamic_metadata: { fields: Record<string, { structValue: { fields: Record<string, unknown> } }> };
    readonly request_body: { response: { clear_route_cache: boolean } };
  };
  const text = (stringValue: string) => ({ stringValue });
  expect(Object.keys(read.dynamic_metadata.fields)).toEqual(["mcp_calls"]);
  expect(read.dynamic_metadata.fields.mcp_calls?.structValue.fields).toEqual({
    principal: text("ada"),
    retry_after: text("18"),
    "limit.mine": text("mine"),
    "hits.mine": text("3"),
    id: text('"\\u00e9"'),
  });
  expect(read.request_body.response.clear_route_cache).toBe(true);
});
