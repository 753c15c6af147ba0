import { loadSync } from "@grpc/proto-loader";
import fc from "fast-check";
import type protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { HeaderNames, type Verdict } from "../../../src/core/http.ts";
import { REPLACED_BODY, REWRITTEN_BODY } from "../../../src/core/mode-override.ts";
import { decodeRequest } from "../../../src/ext-proc/decode.ts";
import { encodeMessageTimeout, encodeResponse, encodeStreamedBody } from "../../../src/ext-proc/encode.ts";
import { encodeHealth, NOT_SERVING, SERVING } from "../../../src/ext-proc/health.ts";
import { ourProtos, PROTOS, theirProtos } from "../../support/envoy-protos.ts";

const EXT_PROC = "envoy/service/ext_proc/v3/external_processor.proto";
const ours = ourProtos(EXT_PROC);
const theirs = theirProtos(EXT_PROC);

const onModeOverride = () => undefined;
const NO_BYTES = new Uint8Array();
const NO_BODY = (async function* () {})();
const UNCHANGED = { write: (chunk: Uint8Array) => chunk, end: () => NO_BYTES };

const MESSAGES = [
  "envoy.service.ext_proc.v3.ProcessingRequest",
  "envoy.service.ext_proc.v3.ProcessingResponse",
  "envoy.service.ext_proc.v3.HttpHeaders",
  "envoy.service.ext_proc.v3.HttpBody",
  "envoy.service.ext_proc.v3.HttpTrailers",
  "envoy.service.ext_proc.v3.HeadersResponse",
  "envoy.service.ext_proc.v3.BodyResponse",
  "envoy.service.ext_proc.v3.TrailersResponse",
  "envoy.service.ext_proc.v3.CommonResponse",
  "envoy.service.ext_proc.v3.ImmediateResponse",
  "envoy.service.ext_proc.v3.GrpcStatus",
  "envoy.service.ext_proc.v3.HeaderMutation",
  "envoy.service.ext_proc.v3.BodyMutation",
  "envoy.config.core.v3.HeaderValue",
  "envoy.config.core.v3.HeaderValueOption",
  "envoy.config.core.v3.HeaderMap",
  "envoy.config.core.v3.Metadata",
  "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode",
];

/** Fields that Envoy has added since the independent copy: what the tests on the real Envoy stand for. */
const NEWER = new Set(["protocol_config", "streamed_response"]);

describe("our protos against an independent copy of Envoy's", () => {
  test.each(MESSAGES)("%s: each field has their number, type and repetition", (name) => {
    const fields = ours.lookupType(name).fieldsArray.filter((field) => !NEWER.has(field.name));
    expect(fields.length).toBeGreaterThan(0);
    for (const field of fields) {
      const their = theirs.lookupType(name).fields[field.name];
      expect([field.name, their?.id, their?.type.split(".").at(-1), their?.repeated, their?.map]).toEqual([
        field.name,
        field.id,
        field.type.split(".").at(-1),
        field.repeated,
        field.map,
      ]);
    }
  });

  test.each([
    "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.HeaderSendMode",
    "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode",
    "envoy.service.ext_proc.v3.CommonResponse.ResponseStatus",
    "envoy.config.core.v3.HeaderValueOption.HeaderAppendAction",
  ])("%s: each value of theirs has their number", (name) => {
    expect(ours.lookupEnum(name).values).toMatchObject(theirs.lookupEnum(name).values);
  });

  test("a status code is on the wire what their enum is", () => {
    const status = ours.lookupType("envoy.type.v3.HttpStatus");
    const their = theirs.lookupType("envoy.type.v3.HttpStatus");
    const bytes = status.encode({ code: 404 } as unknown as protobuf.Message).finish();
    expect(their.toObject(their.decode(bytes), { enums: String })).toEqual({ code: "NotFound" });
  });

  test("the service is reached by the same path", () => {
    const definition = loadSync(EXT_PROC, { includeDirs: [PROTOS] });
    const service = definition["envoy.service.ext_proc.v3.ExternalProcessor"];
    expect(service).toMatchObject({
      Process: {
        path: "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
        requestStream: true,
        responseStream: true,
      },
    });
  });
});

const TheirRequest = theirs.lookupType("envoy.service.ext_proc.v3.ProcessingRequest");
const TheirResponse = theirs.lookupType("envoy.service.ext_proc.v3.ProcessingResponse");

/** What Envoy would send, written by the independent copy. */
function request(message: object): Buffer {
  return Buffer.from(TheirRequest.encode(TheirRequest.fromObject(message)).finish());
}

/** What Envoy would read, by the independent copy. */
function read(bytes: Uint8Array): unknown {
  return TheirResponse.toObject(TheirResponse.decode(bytes), { bytes: String, enums: String });
}

describe("a message of Envoy's", () => {
  const header = (key: string, value: string) => ({ key, raw_value: Buffer.from(value, "latin1") });

  test("with request headers is read", () => {
    const headers = [
      header(":path", "/mcp"),
      header("x", "1"),
      header("x", "é"),
      { key: "y", value: "plain" },
      header("z", ""),
    ];
    const message = decodeRequest(request({ request_headers: { headers: { headers }, end_of_stream: true } }));
    if (message.phase !== "request_headers") throw new Error(message.phase);
    expect(message.endOfStream).toBe(true);
    expect([":path", "x", "y", "z", "none"].map((name) => message.headers.get(name))).toEqual([
      "/mcp",
      "1, é",
      "plain",
      "",
      undefined,
    ]);
  });

  test("says which of some headers are there, as if it were asked for each", () => {
    // Names of lengths that are alike modulo 32, among others.
    const name = fc.constantFrom("a", "b", "ab", "x".repeat(33), "x".repeat(34), `y${"x".repeat(32)}`, "location");
    fc.assert(
      fc.property(fc.array(name), fc.uniqueArray(name), (there, asked) => {
        const headers = there.map((key) => header(key, ""));
        const message = decodeRequest(request({ response_headers: { headers: { headers } } }));
        if (message.phase !== "response_headers") throw new Error(message.phase);
        const found = message.headers.present(new HeaderNames(asked));
        expect([...found].sort()).toEqual(asked.filter((one) => message.headers.get(one) !== undefined).sort());
      }),
    );
  });

  test.each([
    [Buffer.alloc(0), ""],
    [Buffer.from("{}"), "{}"],
  ])("with a body is read, also an empty one", (body, text) => {
    const message = decodeRequest(request({ request_body: { body, end_of_stream: true } }));
    if (message.phase !== "request_body") throw new Error(message.phase);
    expect(message.body).toBeInstanceOf(Uint8Array);
    expect(Buffer.from(message.body).toString()).toBe(text);
  });

  test.each([
    [
      { "envoy.filters.http.ext_proc": { fields: { "upstream.address": { stringValue: "10.0.0.1:80" } } } },
      "10.0.0.1:80",
    ],
    [{ "envoy.filters.http.ext_proc": { fields: { "upstream.address": { stringValue: "" } } } }, undefined],
    [{}, undefined],
  ])("with response headers tells the endpoint that answered", (attributes, endpoint) => {
    const message = decodeRequest(request({ response_headers: { headers: { headers: [] } }, attributes }));
    expect(message).toMatchObject({ phase: "response_headers", endpoint, flags: 0, endOfStream: false });
  });

  const address = ["upstream.address", { stringValue: "10.0.0.1:80" }] as const;
  const flags = ["response.flags", { numberValue: 34 }] as const;
  const others = ["response.code_details", { stringValue: "x" }] as const;
  const read = { endpoint: "10.0.0.1:80", flags: 34 };
  const none = { endpoint: undefined, flags: 0 };
  test.each([
    ["both", [address, flags], read],
    ["both, the other way round", [flags, address], read],
    ["both, among others", [others, flags, others, address, others], read],
    ["the endpoint alone", [address], { ...none, endpoint: "10.0.0.1:80" }],
    ["the flags alone", [flags], { ...none, flags: 34 }],
    ["neither", [others], none],
    ["flags that are text", [["response.flags", { stringValue: "34" }], address], { ...read, flags: 0 }],
    ["an endpoint that is a number", [["upstream.address", { numberValue: 1 }], flags], { ...none, flags: 34 }],
    ["flags of many bits", [["response.flags", { numberValue: 2 ** 40 + 32 }]], { ...none, flags: 2 ** 40 + 32 }],
    ["null", [["response.flags", { nullValue: 0 }] as const, ["upstream.address", { nullValue: 0 }]], none],
  ])("with response headers tells who answered, and why: %s", (_, members, expected) => {
    const fields = Object.fromEntries(members as Iterable<[string, object]>);
    const attributes = { "envoy.filters.http.ext_proc": { fields } };
    const response_headers = { headers: { headers: [header(":status", "503")] }, end_of_stream: true };
    const message = decodeRequest(request({ response_headers, attributes }));
    expect(message).toMatchObject({ phase: "response_headers", endOfStream: true, ...expected });
  });

  test("tells all its headers in their order", () => {
    const all = [
      [":status", "200"],
      ["x", "é"],
      ["y", ""],
      ["x", "2"],
    ] as const;
    const headers = all.map(([key, value]) => header(key, value));
    const message = decodeRequest(request({ response_headers: { headers: { headers } } }));
    if (message.phase !== "response_headers") throw new Error(message.phase);
    expect([...message.headers.entries()]).toEqual(all);
    // As often as one asks.
    expect([...message.headers.entries()]).toEqual(all);
  });

  test("holds its headers in as many bytes as it has", () => {
    const bytes = request({ request_headers: { headers: { headers: [header("x", "a".repeat(1_000))] } } });
    const message = decodeRequest(bytes);
    if (message.phase !== "request_headers") throw new Error(message.phase);
    expect(message.headers.size).toBe(bytes.length);
  });

  test("with a piece of an answer's body is told by its length alone", () => {
    const bytes = request({ response_body: { body: Buffer.from("abc"), end_of_stream: true } });
    expect(decodeRequest(bytes)).toEqual({ phase: "response_body", body: Buffer.from("abc"), endOfStream: true });
  });

  test.each(["request_trailers", "response_trailers"])("with %s is told by its phase alone", (phase) => {
    expect(decodeRequest(request({ [phase]: {} }))).toEqual({ phase });
  });

  test("that names no phase, or is no message, is unreadable", () => {
    expect(decodeRequest(request({}))).toMatchObject({
      phase: "unreadable",
      error: { message: expect.stringContaining("without a phase") },
    });
    expect(decodeRequest(Buffer.from([0xff, 0xff]))).toMatchObject({ phase: "unreadable" });
  });
});

describe("an answer to Envoy", () => {
  test.each([
    "request_headers",
    "request_body",
    "response_headers",
    "response_body",
    "request_trailers",
    "response_trailers",
  ] as const)("lets %s go on", (phase) => {
    expect(read(encodeResponse(phase, { kind: "continue" }))).toEqual({ [phase]: {} });
  });

  test.each(["request_headers", "request_body", "response_headers"] as const)("changes headers in %s", (phase) => {
    const verdict: Verdict = {
      kind: "mutate",
      set: [["a", "é"]],
      remove: ["c"],
      clearRoute: true,
    };
    expect(read(encodeResponse(phase, verdict))).toEqual({
      [phase]: {
        response: {
          header_mutation: {
            set_headers: [{ header: { key: "a", raw_value: Buffer.from("é", "latin1").toString("base64") } }],
            remove_headers: ["c"],
          },
          clear_route_cache: true,
        },
      },
    });
  });

  test("sets several fields of one name that stand one after another: the first in place of what there was", () => {
    const set = [
      ["a", "1"],
      ["b", "2"],
      ["b", "3"],
      ["b", "4"],
      ["a", "5"],
    ] as const;
    const appended = { append: { value: true } };
    const written = set.map(([key, value]) => ({ header: { key, raw_value: Buffer.from(value).toString("base64") } }));
    const [a, b, ...rest] = written;
    const set_headers = [a, b, { ...rest[0], ...appended }, { ...rest[1], ...appended }, rest[2]];
    const mutation: Verdict = { kind: "mutate", set, remove: [], clearRoute: false };
    expect(read(encodeResponse("response_headers", mutation))).toEqual({
      response_headers: { response: { header_mutation: { set_headers } } },
    });
    const reply: Verdict = { kind: "reply", status: 200, headers: set, body: "", details: "d" };
    expect(read(encodeResponse("response_headers", reply))).toMatchObject({
      immediate_response: { headers: { set_headers } },
    });
  });

  test("replies in place of the backend", () => {
    const verdict: Verdict = { kind: "reply", status: 404, headers: [["a", "b"]], body: "é", details: "mcp_x" };
    expect(read(encodeResponse("request_body", verdict))).toEqual({
      immediate_response: {
        status: { code: "NotFound" },
        headers: { set_headers: [{ header: { key: "a", raw_value: Buffer.from("b").toString("base64") } }] },
        body: Buffer.from("é").toString("base64"),
        details: "mcp_x",
      },
    });
  });

  test("replies by bytes, as they are", () => {
    const body = Uint8Array.from([0, 0xff, 0x80, 0x0a]);
    const verdict: Verdict = { kind: "reply", status: 200, headers: [], body, details: "mcp_recovered" };
    expect(read(encodeResponse("response_headers", verdict))).toMatchObject({
      immediate_response: { status: { code: "OK" }, body: Buffer.from(body).toString("base64") },
    });
  });

  test("streams another body in place of the backend's, in the one mode that Envoy is told to allow", () => {
    const body = (async function* () {})();
    const verdict: Verdict = {
      kind: "stream",
      status: 200,
      set: [["a", "é"]],
      remove: ["content-length"],
      body,
      onModeOverride,
    };
    const bytes = encodeResponse("response_headers", verdict);
    const set = (key: string, value: string) => ({
      header: { key, raw_value: Buffer.from(value, "latin1").toString("base64") },
    });
    const mutation = {
      response_headers: {
        response: {
          header_mutation: { set_headers: [set(":status", "200"), set("a", "é")], remove_headers: ["content-length"] },
        },
      },
    };
    const Response = ours.lookupType("envoy.service.ext_proc.v3.ProcessingResponse");
    for (const type of [Response, TheirResponse])
      expect(type.toObject(type.decode(bytes), { bytes: String })).toMatchObject(mutation);
    const mode = (type: protobuf.Type) =>
      type.toObject(type.decode(bytes), { enums: String, defaults: true }).mode_override;
    const whole = { ...REPLACED_BODY, request_trailer_mode: "SKIP" };
    expect(mode(Response)).toEqual(whole);
    // The independent copy knows no FULL_DUPLEX_STREAMED: it reads its number.
    expect(mode(TheirResponse)).toEqual({ ...whole, response_body_mode: 4 });
  });

  test.each([
    [71_250, 71, 250_000_000],
    [999, 0, 999_000_000],
    [1_000, 1, 0],
  ])("tells that it takes %i ms", (ms, seconds, nanos) => {
    const read = TheirResponse.toObject(TheirResponse.decode(encodeMessageTimeout(ms)), {
      longs: Number,
      defaults: true,
    });
    expect(read.override_message_timeout).toEqual({ seconds, nanos });
  });

  test.each(["\r", "\n", "\0", "\x7f", "\u010a"])("is not made of a header value with %j", (character) => {
    const value = `a${character}b`;
    const mutate: Verdict = { kind: "mutate", set: [["a", value]], remove: [], clearRoute: false };
    const reply: Verdict = { kind: "reply", status: 200, headers: [["a", value]], body: "", details: "mcp_x" };
    const body = (async function* () {})();
    const stream: Verdict = { kind: "stream", status: 200, set: [["a", value]], remove: [], body, onModeOverride };
    for (const verdict of [mutate, reply, stream])
      expect(() => encodeResponse("response_headers", verdict)).toThrow("the value of a is no header value");
  });

  test("to what was not read can only be a reply", () => {
    expect(() => encodeResponse("unreadable", { kind: "continue" })).toThrow("only be replied to");
    expect(
      encodeResponse("unreadable", { kind: "reply", status: 500, headers: [], body: "x", details: "d" }),
    ).toBeDefined();
  });

  test("of a kind that nobody mapped is an error", () => {
    // Only a cast makes such a verdict: the compiler refuses it.
    expect(() => encodeResponse("request_body", { kind: "new" } as unknown as Verdict)).toThrow("unmapped");
  });
});

describe("what is read and written by hand is what protobufjs reads and writes", () => {
  const Request = ours.lookupType("envoy.service.ext_proc.v3.ProcessingRequest");
  const Response = ours.lookupType("envoy.service.ext_proc.v3.ProcessingResponse");
  const latin1 = fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
  });
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/);
  const long = fc.integer({ min: 120, max: 20_000 }).map((length) => "v".repeat(length));
  const headers = fc.array(fc.tuple(name, fc.oneof(latin1, long)), { maxLength: 30 });

  test.each(["request_headers", "response_headers"] as const)("%s", (phase) => {
    const ip = fc.option(fc.ipV4(), { nil: undefined });
    const number = fc.option(fc.oneof(fc.nat(), fc.double({ noNaN: true })), { nil: undefined });
    fc.assert(
      fc.property(headers, ip, number, fc.boolean(), fc.boolean(), (all, address, flags, flagsFirst, end_of_stream) => {
        const members: [string, object][] = [];
        if (address !== undefined) members.push(["upstream.address", { stringValue: address }]);
        if (flags !== undefined) members.push(["response.flags", { numberValue: flags }]);
        if (flagsFirst) members.reverse();
        const wire = all.map(([key, value]) => ({ key, raw_value: Buffer.from(value, "latin1") }));
        const attributes = {
          other: {
            fields: { "upstream.address": { stringValue: "wrong" }, "response.flags": { numberValue: 1.5 } },
          },
          "envoy.filters.http.ext_proc": { fields: Object.fromEntries(members) },
        };
        const message = { [phase]: { headers: { headers: wire }, end_of_stream }, attributes };
        const bytes = Buffer.from(Request.encode(Request.fromObject(message)).finish());
        const read = decodeRequest(bytes);
        if (!("headers" in read)) throw new Error(read.phase);
        for (const [key] of all) {
          const values = all.filter(([other]) => other === key).map(([, value]) => value);
          expect(read.headers.get(key)).toBe(values.join(", "));
        }
        expect([...read.headers.entries()]).toEqual(all);
        expect(read).toMatchObject({
          phase,
          endOfStream: end_of_stream,
          ...(phase === "response_headers" && { endpoint: address, flags: flags ?? 0 }),
        });
      }),
    );
  });

  test("the claims of a verified token", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1 });
    const claims = fc.record({ iss: fc.option(text), sub: fc.option(text) });
    fc.assert(
      fc.property(claims, fc.dictionary(fc.string(), text), (theirs, others) => {
        const named = { ...others, iss: theirs.iss, sub: theirs.sub };
        const members = Object.entries(named).map(([key, value]) => [
          key,
          value === null ? { numberValue: 1 } : { stringValue: value },
        ]);
        const payload = (fields: object) => ({ fields: { other: {}, payload: { structValue: { fields } } } });
        const filter_metadata = {
          "envoy.filters.http.other": payload({ iss: { stringValue: "x" }, sub: { stringValue: "x" } }),
          "envoy.filters.http.jwt_authn": payload(Object.fromEntries(members)),
        };
        const message = { request_headers: { headers: { headers: [] } }, metadata_context: { filter_metadata } };
        const read = decodeRequest(Buffer.from(Request.encode(Request.fromObject(message)).finish()));
        if (read.phase !== "request_headers") throw new Error(read.phase);
        const { iss, sub } = theirs;
        expect([read.claims?.text("iss"), read.claims?.text("sub")]).toEqual([iss ?? undefined, sub ?? undefined]);
        // Each may be asked for again.
        expect(read.claims?.text("iss")).toEqual(iss ?? undefined);
      }),
    );
  });

  test("a claim within others, by the names that lead to it", () => {
    const nested = {
      roles: { structValue: { fields: { first: { stringValue: "admin" }, none: { numberValue: 1 } } } },
    };
    const payload = { fields: { payload: { structValue: { fields: nested } } } };
    const message = {
      request_headers: { headers: { headers: [] } },
      metadata_context: { filter_metadata: { "envoy.filters.http.jwt_authn": payload } },
    };
    const read = decodeRequest(Buffer.from(Request.encode(Request.fromObject(message)).finish()));
    const { claims } = read.phase === "request_headers" ? read : {};
    expect(claims?.text("roles", "first")).toBe("admin");
    for (const path of [
      ["roles"],
      ["roles", "none"],
      ["roles", "first", "deeper"],
      ["other", "first"],
      ["sub"],
    ] as const)
      expect(claims?.text(path[0], ...path.slice(1))).toBeUndefined();
  });

  test("the values of a claim, of one that is a list its items", () => {
    const text = (stringValue: string) => ({ stringValue });
    const list = (...values: readonly object[]) => ({ listValue: { values } });
    const members = {
      beyond: list(text("staff"), text("ärzte"), text("日本")),
      groups: list(
        text("staff"),
        text(""),
        { numberValue: 3 },
        { boolValue: false },
        { nullValue: 0 },
        list(text("no")),
      ),
      none: list(),
      level: { numberValue: 1.5 },
      staff: { boolValue: true },
      guest: { boolValue: false },
      empty: text(""),
      realm: { structValue: { fields: { roles: list(text("admin"), { structValue: { fields: {} } }) } } },
    };
    const payload = { fields: { payload: { structValue: { fields: members } } } };
    const message = {
      request_headers: { headers: { headers: [] } },
      metadata_context: { filter_metadata: { "envoy.filters.http.jwt_authn": payload } },
    };
    const read = decodeRequest(Buffer.from(Request.encode(Request.fromObject(message)).finish()));
    const { claims } = read.phase === "request_headers" ? read : {};
    const values = (...path: readonly [string, ...string[]]) => claims?.values(...path);
    expect(values("groups")).toEqual(["staff", "", 3, false]);
    expect(values("none")).toEqual([]);
    expect(values("beyond")).toEqual(["staff", "ärzte", "日本"]);
    expect([values("level"), values("staff"), values("guest"), values("empty")]).toEqual([
      [1.5],
      [true],
      [false],
      [""],
    ]);
    expect(values("realm", "roles")).toEqual(["admin"]);
    for (const path of [["realm"], ["realm", "other"], ["groups", "staff"], ["absent"]] as const)
      expect(values(path[0], ...path.slice(1))).toEqual([]);
  });

  test("changed headers", () => {
    fc.assert(
      fc.property(headers, fc.array(name), fc.boolean(), (set, remove, clearRoute) => {
        const bytes = encodeResponse("request_body", { kind: "mutate", set, remove, clearRoute });
        expect(read(bytes)).toEqual({
          request_body: {
            response: {
              header_mutation: {
                ...(set.length > 0 && {
                  set_headers: set.map(([key, value], at) => ({
                    header: {
                      key,
                      ...(value !== "" && { raw_value: Buffer.from(value, "latin1").toString("base64") }),
                    },
                    ...(at > 0 && set[at - 1]?.[0] === key && { append: { value: true } }),
                  })),
                }),
                ...(remove.length > 0 && { remove_headers: remove }),
              },
              ...(clearRoute && { clear_route_cache: true }),
            },
          },
        });
      }),
    );
  });

  const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 16_300, maxLength: 16_500 }));

  test("replies", () => {
    fc.assert(
      fc.property(headers, fc.oneof(fc.string(), bytes), fc.integer({ min: 200, max: 599 }), (all, body, status) => {
        const reply: Verdict = { kind: "reply", status, headers: all, body, details: "mcp_x" };
        const bytes = encodeResponse("request_body", reply);
        const { immediate_response } = Response.toObject(Response.decode(bytes), { bytes: Buffer, defaults: true });
        expect(immediate_response).toMatchObject({ status: { code: status }, details: "mcp_x" });
        expect(Buffer.from(immediate_response.body)).toEqual(Buffer.from(body as string));
        expect(
          immediate_response.headers.set_headers.map(({ header }: { header: { key: string; raw_value: Buffer } }) => [
            header.key,
            Buffer.from(header.raw_value).toString("latin1"),
          ]),
        ).toEqual(all);
      }),
    );
  });

  test("heads of streamed answers", () => {
    fc.assert(
      fc.property(headers, fc.array(name), fc.integer({ min: 200, max: 599 }), (set, remove, status) => {
        const body = (async function* () {})();
        const bytes = encodeResponse("response_headers", { kind: "stream", status, set, remove, body, onModeOverride });
        const options = { bytes: Buffer, enums: String, defaults: true } as const;
        const { response_headers, mode_override } = Response.toObject(Response.decode(bytes), options);
        const { set_headers, remove_headers } = response_headers.response.header_mutation;
        expect(
          set_headers.map(({ header }: { header: { key: string; raw_value: Buffer } }) => [
            header.key,
            Buffer.from(header.raw_value).toString("latin1"),
          ]),
        ).toEqual([[":status", String(status)], ...set]);
        expect(remove_headers).toEqual(remove);
        expect(mode_override).toMatchObject(REPLACED_BODY);
      }),
    );
  });

  test("a request's body that is dropped, with its length", () => {
    const bytes = encodeResponse("request_body", { kind: "drop-body" });
    const { request_body } = Response.toObject(Response.decode(bytes), { defaults: false });
    expect(request_body.response).toEqual({
      header_mutation: { remove_headers: ["content-length"] },
      body_mutation: { clear_body: true },
    });
    expect(() => encodeResponse("request_headers", { kind: "drop-body" })).toThrow("no body to drop");
  });

  test("replaces the body of a request, with the content-length that the new one has", () => {
    fc.assert(
      fc.property(bytes, (body) => {
        const verdict: Verdict = { kind: "mutate", set: [["a", "b"]], remove: ["c"], clearRoute: true, body };
        const { request_body } = Response.toObject(Response.decode(encodeResponse("request_body", verdict)), {
          bytes: Buffer,
        });
        const { header_mutation, body_mutation, clear_route_cache } = request_body.response;
        expect(
          header_mutation.set_headers.map(({ header }: { header: { key: string; raw_value: Buffer } }) => [
            header.key,
            Buffer.from(header.raw_value).toString(),
          ]),
        ).toEqual([
          ["a", "b"],
          ["content-length", String(body.length)],
        ]);
        expect(header_mutation.remove_headers).toEqual(["c"]);
        expect(Buffer.from(body_mutation.body)).toEqual(Buffer.from(body));
        expect(clear_route_cache).toBe(true);
      }),
    );
  });

  test("replaces a piece of an answer's body, whose head has gone, without a length", () => {
    const verdict: Verdict = { kind: "mutate", set: [], remove: [], clearRoute: false, body: new Uint8Array() };
    const { response_body } = Response.toObject(Response.decode(encodeResponse("response_body", verdict)), {
      bytes: Buffer,
    });
    expect(response_body.response.header_mutation).toEqual({});
    expect(response_body.response.body_mutation).toEqual({ body: Buffer.alloc(0) });
  });

  test("rewrites an answer without its length, in the one mode that Envoy is told to allow for it", () => {
    const verdict: Verdict = { kind: "rewrite", set: [["a", "b"]], remove: ["c"], rewriter: UNCHANGED };
    const encoded = encodeResponse("response_headers", verdict);
    const options = { bytes: String, enums: String, defaults: true } as const;
    const { response_headers, mode_override } = Response.toObject(Response.decode(encoded), options);
    expect(response_headers.response.header_mutation.remove_headers).toEqual(["c", "content-length"]);
    expect(mode_override).toEqual(REWRITTEN_BODY);
  });

  test.each<[string, Parameters<typeof encodeResponse>[0], Verdict]>([
    ["a body in a head", "request_headers", { kind: "mutate", set: [], remove: [], clearRoute: false, body: NO_BYTES }],
    [
      "another answer in a request",
      "request_body",
      { kind: "stream", status: 200, set: [], remove: [], body: NO_BODY, onModeOverride },
    ],
    ["a rewritten answer in a request", "request_body", { kind: "rewrite", set: [], remove: [], rewriter: UNCHANGED }],
  ])("%s is an error", (_, phase, verdict) => {
    expect(() => encodeResponse(phase, verdict)).toThrow("there is no");
  });

  test("pieces of streamed answers", () => {
    fc.assert(
      fc.property(bytes, fc.boolean(), (body, last) => {
        const options = { bytes: Buffer, defaults: true } as const;
        const { response_body } = Response.toObject(Response.decode(encodeStreamedBody(body, last)), options);
        const { streamed_response } = response_body.response.body_mutation;
        expect(streamed_response.end_of_stream).toBe(last);
        expect(Buffer.from(streamed_response.body)).toEqual(Buffer.from(body));
      }),
    );
  });

  test("message timeouts", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (ms) => {
        const options = { longs: Number, defaults: true } as const;
        const { override_message_timeout } = Response.toObject(Response.decode(encodeMessageTimeout(ms)), options);
        expect(override_message_timeout).toEqual({ seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 });
      }),
    );
  });

  test("bytes that are cut off or changed are read or unreadable, and never read past their end", () => {
    const whole = request({
      request_headers: { headers: { headers: [{ key: "a", raw_value: Buffer.from("b") }] }, end_of_stream: true },
      metadata_context: {
        filter_metadata: {
          "envoy.filters.http.jwt_authn": {
            fields: {
              payload: { structValue: { fields: { iss: { stringValue: "i" }, sub: { stringValue: "s" } } } },
            },
          },
        },
      },
      attributes: { "envoy.filters.http.ext_proc": { fields: { "upstream.address": { stringValue: "10.0.0.1:80" } } } },
    });
    const claimed = decodeRequest(whole);
    expect(claimed.phase === "request_headers" && claimed.claims?.text("sub")).toBe("s");
    const answered = request({
      response_headers: { headers: { headers: [{ key: "a", raw_value: Buffer.from("b") }] }, end_of_stream: true },
      attributes: {
        "envoy.filters.http.ext_proc": {
          fields: { "upstream.address": { stringValue: "10.0.0.1:80" }, "response.flags": { numberValue: 34 } },
        },
      },
    });
    expect(decodeRequest(answered)).toMatchObject({ flags: 34 });
    for (const message of [whole, answered])
      fc.assert(
        fc.property(fc.nat(message.length - 1), fc.nat(255), fc.nat(message.length), (at, byte, length) => {
          const bytes = Buffer.from(message.subarray(0, length));
          if (at < length) bytes[at] = byte;
          const read = decodeRequest(bytes);
          if (!("headers" in read)) return;
          expect((read.headers.get("a") ?? "").length).toBeLessThanOrEqual(bytes.length);
          if (read.phase === "response_headers") expect(read.flags).toBeTypeOf("number");
        }),
        { numRuns: 2_000 },
      );
  });

  test.each([
    [[0x12, 0x7f], "cut off"],
    [[0x12], "cut off"],
    [[0x13], "wire type 3"],
    [[0x10, ...Array(11).fill(0x80)], "a number without an end"],
    [[0x09, 0, 0], "cut off"],
  ])("%j is not protobuf", (bytes, said) => {
    const message = decodeRequest(Buffer.from(bytes));
    expect(message).toMatchObject({ phase: "unreadable", error: { message: expect.stringContaining(said) } });
  });

  test("fields of kinds that we do not know are read over", () => {
    const unknown = Buffer.from([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa5, 0x06, 1, 2, 3, 4, 0xa8, 0x06, 0xff, 0x01]);
    const message = decodeRequest(
      Buffer.concat([unknown, request({ request_body: { body: Buffer.from("x") } }), unknown]),
    );
    expect(message).toMatchObject({ phase: "request_body", body: Buffer.from("x") });
  });
});

test("the health service speaks grpc.health.v1", () => {
  expect([...encodeHealth(SERVING)]).toEqual([8, 1]);
  expect([...encodeHealth(NOT_SERVING)]).toEqual([8, 2]);
});
