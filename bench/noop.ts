/**
 * A process of its own: the cheapest ext_proc server that grpc-js can be, `node noop.ts <port>`. It answers "go on" to
 * everything, so what it costs is the price of asking any processor written in Node; the router is measured against it.
 */
import * as grpc from "@grpc/grpc-js";

/**
 * Phase by the first byte: Envoy writes fields in the order of their numbers, and the phase's is the lowest. Of each
 * `ProcessingResponse` only the phase is set, to an empty message: CONTINUE. Tag is number << 3 | 2, then the length.
 */
const CONTINUE_BY_FIRST_BYTE: ReadonlyMap<number, Buffer> = new Map([
  [0x12, Buffer.of(0x0a, 0)], // request_headers: 2 in the request, 1 in the response
  [0x1a, Buffer.of(0x12, 0)], // response_headers: 3, 2
  [0x22, Buffer.of(0x1a, 0)], // request_body: 4, 3
]);

const STREAM_RESETS = 1_000_000;

const server = new grpc.Server();
// As in the router: Envoy may reset more streams than Node's HTTP/2 accepts by default (docs/internals/envoy-facts.md §1).
// Private to grpc-js, hence the cast.
const { commonServerOptions } = server as unknown as { commonServerOptions: Record<string, unknown> };
Object.assign(commonServerOptions, { streamResetBurst: STREAM_RESETS, streamResetRate: STREAM_RESETS });

const definition: grpc.ServiceDefinition = {
  Process: {
    path: "/envoy.service.ext_proc.v3.ExternalProcessor/Process",
    requestStream: true,
    responseStream: true,
    requestDeserialize: answerTo,
    responseSerialize: (answer: Buffer) => answer,
    // Never called: we are the server.
    requestSerialize: () => Buffer.alloc(0),
    responseDeserialize: (bytes) => bytes,
  },
};

server.addService(definition, {
  Process: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
    call.on("data", (answer) => call.write(answer));
    call.on("end", () => call.end());
    call.on("error", () => call.end());
  },
});
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.stdout.write("listening\n");
});

/** Throws on any other phase, which ends the stream with an error, so that the load sees a failed request. */
function answerTo(message: Buffer): Buffer {
  const answer = CONTINUE_BY_FIRST_BYTE.get(message[0] ?? 0);
  if (answer === undefined) throw new Error(`no phase begins with byte ${message[0]}`);
  return answer;
}
