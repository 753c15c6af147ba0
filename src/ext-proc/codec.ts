/**
 * Envoy's messages to and from what the rest of us speaks: heads, bodies and verdicts. The only importer of protobufjs.
 *
 * Messages are decoded by `Type.decode` and encoded by `Type.encode` directly: proto-loader's conversion to plain
 * objects costs a quarter more CPU on each request (envoy.md §8).
 */
import { join } from "node:path";
import protobuf from "protobufjs";
import type { Header, HeaderFields, Reply, Verdict } from "../core/http.ts";

/** One message of Envoy's about one HTTP request. */
export type EnvoyMessage =
  | { readonly phase: "request_headers"; readonly headers: HeaderFields; readonly endOfStream: boolean }
  | { readonly phase: "request_body"; readonly body: Uint8Array }
  | {
      readonly phase: "response_headers";
      readonly headers: HeaderFields;
      /** `upstream.address`: absent when Envoy answers by itself. */
      readonly upstreamAddress: string | undefined;
    }
  /** Phases that our configuration does not ask for: answered, so that nothing hangs, and otherwise ignored. */
  | { readonly phase: "response_body" | "request_trailers" | "response_trailers" };

export type Phase = EnvoyMessage["phase"];

/** `status` of grpc.health.v1.HealthCheckResponse. */
export const SERVING = 1;
export const NOT_SERVING = 2;

const PROTO_ROOT = join(import.meta.dirname, "../../proto");
/** Under which ext_proc sends the attributes of `response_attributes`. */
const ATTRIBUTES = "envoy.filters.http.ext_proc";
const UPSTREAM_ADDRESS = "upstream.address";

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith("google/protobuf/") ? target : join(PROTO_ROOT, target));
root.loadSync(["envoy/service/ext_proc/v3/external_processor.proto", "grpc/health/v1/health.proto"], {
  keepCase: true,
});

const Request = root.lookupType("envoy.service.ext_proc.v3.ProcessingRequest");
const Response = root.lookupType("envoy.service.ext_proc.v3.ProcessingResponse");
const HealthResponse = root.lookupType("grpc.health.v1.HealthCheckResponse");

/** What `Request.decode` makes of the proto; `keepCase` keeps its names, except inside google.protobuf.Struct. */
interface WireRequest {
  readonly request_headers?: WireHeaders;
  readonly response_headers?: WireHeaders;
  readonly request_body?: { readonly body?: Uint8Array };
  readonly response_body?: object;
  readonly request_trailers?: object;
  readonly response_trailers?: object;
  readonly attributes?: Record<string, { readonly fields?: Record<string, { readonly stringValue?: string }> }>;
}
interface WireHeaders {
  readonly headers?: { readonly headers?: readonly WireHeader[] };
  readonly end_of_stream?: boolean;
}
interface WireHeader {
  readonly key: string;
  readonly value: string;
  readonly raw_value: Uint8Array;
}

const NO_BODY = new Uint8Array();

/** Reads one ProcessingRequest. Throws on bytes that are none, and on one that names no phase. */
export function decodeRequest(bytes: Uint8Array): EnvoyMessage {
  // Safe: WireRequest is the proto's shape, which a test compares with Envoy's own copy and with Envoy itself.
  const wire = Request.decode(bytes) as unknown as WireRequest;
  if (wire.request_headers)
    return {
      phase: "request_headers",
      headers: new WireHeaderFields(wire.request_headers),
      endOfStream: wire.request_headers.end_of_stream === true,
    };
  if (wire.request_body) return { phase: "request_body", body: bytesOf(wire.request_body.body) };
  if (wire.response_headers)
    return {
      phase: "response_headers",
      headers: new WireHeaderFields(wire.response_headers),
      upstreamAddress: wire.attributes?.[ATTRIBUTES]?.fields?.[UPSTREAM_ADDRESS]?.stringValue || undefined,
    };
  if (wire.response_body) return { phase: "response_body" };
  if (wire.request_trailers) return { phase: "request_trailers" };
  if (wire.response_trailers) return { phase: "response_trailers" };
  throw new Error("a ProcessingRequest without a phase");
}

/** Writes the ProcessingResponse that answers `phase` with `verdict`. */
export function encodeResponse(phase: Phase, verdict: Verdict): Uint8Array {
  switch (verdict.kind) {
    case "continue":
      return CONTINUE_BYTES[phase];
    case "reply":
      return encode(Response, { immediate_response: immediate(verdict) });
    case "mutate": {
      const header_mutation = { set_headers: verdict.set.map(setHeader), remove_headers: verdict.remove };
      return encode(Response, { [phase]: { response: { header_mutation, clear_route_cache: verdict.clearRoute } } });
    }
    default:
      return assertNever(verdict);
  }
}

/** Writes a grpc.health.v1.HealthCheckResponse. */
export function encodeHealth(status: typeof SERVING | typeof NOT_SERVING): Uint8Array {
  return encode(HealthResponse, { status });
}

const CONTINUE_BYTES: Readonly<Record<Phase, Uint8Array>> = {
  request_headers: encode(Response, { request_headers: {} }),
  request_body: encode(Response, { request_body: {} }),
  response_headers: encode(Response, { response_headers: {} }),
  response_body: encode(Response, { response_body: {} }),
  request_trailers: encode(Response, { request_trailers: {} }),
  response_trailers: encode(Response, { response_trailers: {} }),
};

function immediate({ status, headers, body, details }: Reply) {
  return {
    status: { code: status },
    headers: { set_headers: headers.map(setHeader) },
    body: Buffer.from(body),
    details,
  };
}

function setHeader([key, value]: Header) {
  // By raw_value, the only one that Envoy reads. Values are latin1, as `WireHeaderFields.get` gives them.
  return { header: { key, raw_value: Buffer.from(value, "latin1") } };
}

function encode(type: protobuf.Type, message: object): Uint8Array {
  // Type.encode takes a plain object of the message's shape.
  return type.encode(message as protobuf.Message).finish();
}

/** Decodes a header's value when it is asked for: a request carries many that nobody reads. */
class WireHeaderFields implements HeaderFields {
  readonly #fields: readonly WireHeader[];

  constructor(wire: WireHeaders) {
    this.#fields = wire.headers?.headers ?? [];
  }

  get(name: string): string | undefined {
    let value: string | undefined;
    for (const field of this.#fields) {
      if (field.key !== name) continue;
      const text = field.raw_value.length > 0 ? latin1(field.raw_value) : field.value;
      value = value === undefined ? text : `${value}, ${text}`;
    }
    return value;
  }
}

/** protobufjs gives an absent `bytes` field as an empty array, which is no Uint8Array. */
function bytesOf(field: Uint8Array | undefined): Uint8Array {
  return field && field.length > 0 ? field : NO_BODY;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function assertNever(value: never): never {
  throw new Error(`unmapped: ${JSON.stringify(value)}`);
}
