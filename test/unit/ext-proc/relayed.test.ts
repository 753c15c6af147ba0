import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Verdict } from "../../../src/core/http.ts";
import { encodeResponse } from "../../../src/ext-proc/encode.ts";
import { decodeReports } from "../../../src/ext-proc/relayed.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ourProtos, PROTOS, theirProtos } from "../../support/envoy-protos.ts";

const SERVICE = "envoy/service/accesslog/v3/als.proto";
const ours = ourProtos(SERVICE);
const theirs = theirProtos(SERVICE);
const TheirMessage = theirs.lookupType("envoy.service.accesslog.v3.StreamAccessLogsMessage");
const TheirResponse = theirProtos("envoy/service/ext_proc/v3/external_processor.proto").lookupType(
  "envoy.service.ext_proc.v3.ProcessingResponse",
);

const SESSION = sessionKey(mintSessionId());

test.each([
  "envoy.service.accesslog.v3.StreamAccessLogsMessage",
  "envoy.service.accesslog.v3.StreamAccessLogsMessage.HTTPAccessLogEntries",
  "envoy.data.accesslog.v3.HTTPAccessLogEntry",
  "envoy.data.accesslog.v3.AccessLogCommon",
])("our proto of %s has the numbers of an independent copy", (name) => {
  const { fieldsArray } = ours.lookupType(name);
  expect(fieldsArray.length).toBeGreaterThan(0);
  for (const { name: field, id, repeated } of fieldsArray)
    expect(theirs.lookupType(name).fields[field]).toMatchObject({ id, repeated });
});

test("the service is reached by the same path", () => {
  const definition = loadSync(SERVICE, { includeDirs: [PROTOS] });
  expect(definition["envoy.service.accesslog.v3.AccessLogService"]).toMatchObject({
    StreamAccessLogs: {
      path: "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
      requestStream: true,
      responseStream: false,
    },
  });
});

function member(value: string) {
  return { stringValue: value };
}

function metadataOf(fields: object, namespace = "mcp_router") {
  return { filter_metadata: { other: { fields: { session: member("of-another") } }, [namespace]: { fields } } };
}

/** What Envoy would send, written by the independent copy. */
function message(...metadata: object[]): Buffer {
  const log_entry = metadata.map((one) => ({
    common_properties: { sample_rate: 1, upstream_cluster: "one", metadata: one, route_name: "one/listen" },
    request: { path: "/mcp?secret", user_agent: "x".repeat(300) },
    response: { response_body_bytes: 12 },
  }));
  const logs = { identifier: { log_name: "mcp_relayed", node: { id: "x" } }, http_logs: { log_entry } };
  return Buffer.from(TheirMessage.encode(TheirMessage.fromObject(logs)).finish());
}

const STREAM = { session: SESSION, backend: "one" };
const FIELDS = { session: member(SESSION), backend: member("one") };

describe("Envoy's reports", () => {
  test("tell of each stream, in their order", () => {
    const two = { session: member(SESSION), backend: member("two") };
    expect(decodeReports(message(metadataOf(FIELDS), metadataOf(two)))).toEqual([
      STREAM,
      { ...STREAM, backend: "two" },
    ]);
  });

  test.each([
    ["no metadata", {}],
    ["metadata of other filters alone", metadataOf(FIELDS, "another")],
    ["no session", metadataOf({ backend: member("one") })],
    ["no backend", metadataOf({ session: member(SESSION) })],
    ["a session that is no text", metadataOf({ ...FIELDS, session: { numberValue: 1 } })],
    ["a session that is no key", metadataOf({ ...FIELDS, session: member("a:b") })],
    ["a session that is too long", metadataOf({ ...FIELDS, session: member("a".repeat(129)) })],
    ["a backend that is no name", metadataOf({ ...FIELDS, backend: member("a b") })],
  ])("with %s are left out, and the others are read", (_, metadata) => {
    expect(decodeReports(message(metadata, metadataOf(FIELDS), metadata))).toEqual([STREAM]);
  });

  test("of bytes that are none, or that are cut off, tell what could be read", () => {
    expect(decodeReports(Buffer.alloc(0))).toEqual([]);
    expect(decodeReports(Buffer.from([0xff, 0xff]))).toEqual([]);
    const whole = message(metadataOf(FIELDS));
    for (let length = 0; length < whole.length; length++)
      expect(decodeReports(whole.subarray(0, length)).length).toBeLessThanOrEqual(1);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeReports(Buffer.from(bytes)).length >= 0));
  });
});

test("an answer to Envoy says whose the stream is, as metadata", () => {
  const verdict: Verdict = { kind: "mutate", set: [["a", "b"]], remove: [], clearRoute: false, relayed: STREAM };
  const bytes = encodeResponse("response_headers", verdict);
  expect(TheirResponse.toObject(TheirResponse.decode(bytes), { bytes: String })).toEqual({
    response_headers: {
      response: { header_mutation: { set_headers: [{ header: { key: "a", raw_value: "Yg==" } }] } },
    },
    dynamic_metadata: {
      fields: { mcp_router: { structValue: { fields: { session: member(SESSION), backend: member("one") } } } },
    },
  });
});

test("what one router tells Envoy of a stream is what another one reads of it", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/), (backend) => {
      const relayed = { session: sessionKey(mintSessionId()), backend };
      const verdict: Verdict = { kind: "mutate", set: [], remove: [], clearRoute: false, relayed };
      const told = TheirResponse.toObject(TheirResponse.decode(encodeResponse("response_headers", verdict)));
      const { mcp_router } = told.dynamic_metadata.fields;
      expect(decodeReports(message({ filter_metadata: { mcp_router: mcp_router.structValue } }))).toEqual([relayed]);
    }),
  );
});
