/**
 * The gRPC server that Envoy's ext_proc filter talks to, and that gets Envoy's reports of open streams, with the standard health
 * service. The only importer of grpc-js.
 */
import { lstat, rm } from "node:fs/promises";
import type { Http2Server } from "node:http2";
import { connect } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { formatAddress, whyNoListener } from "../core/address.ts";
import type { RelayedStream } from "../core/relayed.ts";
import type { Gateway } from "../gateway/exchange.ts";
import { decodeRequest, type EnvoyMessage } from "./decode.ts";
import { encodeMessageTimeout, encodeResponse, encodeStreamedBody } from "./encode.ts";
import { encodeHealth, NOT_SERVING, SERVING } from "./health.ts";
import { decodeReports } from "./relayed.ts";
import { openStream, type ReportFault, type Stream } from "./stream.ts";

export interface ServerOptions {
  readonly gateway: Gateway;
  /** Bytes of the largest request body that Envoy sends. */
  readonly bodyLimit: number;
  readonly reportFault: ReportFault;
  /** Told whenever Envoy reports that a stream which it relays is open. */
  readonly relayed: (stream: RelayedStream) => void;
}

type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface ExtProcServer {
  /** Binds and serves. Rejects with what went wrong, such as an address in use. */
  listen(address: ListenAddress): Promise<void>;
  /**
   * Says NOT_SERVING, takes no new connections, lets the requests under way finish, and cuts what is left after
   * `deadline` ms. Cut requests fail closed at Envoy. Resolves to whether nothing had to be cut.
   */
  drain(deadline: number): Promise<boolean>;
}

/** A message holds the body and the headers (Envoy takes 60 KiB of them by default) or either; this is for the rest. */
const MESSAGE_OVERHEAD = 1024 * 1024;
/** Streams that Envoy may reset in a burst, and in each second, before Node's HTTP/2 gives up on the connection. */
const STREAM_RESETS = 1_000_000;
/**
 * Bytes that Envoy may send on one connection before any of them was read. Node's default is 64 KiB, which is what one stream may send
 * as well: an answer without end would have held up all other requests of that Envoy.
 */
const CONNECTION_WINDOW = 16 * 1024 * 1024;

const processing: grpc.ServiceDefinition = {
  Process: method("/envoy.service.ext_proc.v3.ExternalProcessor/Process", {
    requestStream: true,
    responseStream: true,
    requestDeserialize: decodeRequest,
  }),
};
const reports: grpc.ServiceDefinition = {
  StreamAccessLogs: method("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", {
    requestStream: true,
    responseStream: false,
    requestDeserialize: decodeReports,
  }),
};
const health: grpc.ServiceDefinition = {
  Check: method("/grpc.health.v1.Health/Check", { requestStream: false, responseStream: false }),
  Watch: method("/grpc.health.v1.Health/Watch", { requestStream: false, responseStream: true }),
};

export function createExtProcServer({ gateway, bodyLimit, reportFault, relayed }: ServerOptions): ExtProcServer {
  // What goes wrong reaches us as errors; grpc-js would also write it to stderr, between the log's JSON lines.
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const server = new grpc.Server({
    "grpc.max_receive_message_length": bodyLimit + MESSAGE_OVERHEAD,
    "grpc.max_send_message_length": -1,
    // Where `listen` is a name, grpc-js would also ask DNS for a client's settings (TXT), and the process could not end
    // before there is an answer.
    "grpc.service_config_disable_resolution": 1,
  });
  raiseStreamResetLimits(server);

  server.addService(processing, { Process: (call: Call) => process(call, gateway, reportFault) });
  const reportService = createReportService(relayed);
  server.addService(reports, reportService.methods);
  const healthService = createHealthService();
  server.addService(health, healthService.methods);

  return {
    async listen(address) {
      if (address.kind === "unix") await removeStaleSocket(address.path);
      await bind(server, address);
      widenConnections(server);
    },

    async drain(deadline) {
      healthService.drain();
      reportService.drain();
      return shutDown(server, deadline);
    },
  };
}

type Call = grpc.ServerDuplexStream<EnvoyMessage, Uint8Array>;
type ReportCall = grpc.ServerReadableStream<readonly RelayedStream[], Uint8Array>;

/** A StreamAccessLogsResponse, which has no fields. */
const NO_BYTES = new Uint8Array();

/** Joins one ext_proc stream to an exchange. */
function process(call: Call, gateway: Gateway, reportFault: ReportFault): void {
  let stream: Stream | undefined = openStream(
    gateway.open(),
    {
      answer: (phase, verdict) => call.write(encodeResponse(phase, verdict)),
      extend: (ms) => call.write(encodeMessageTimeout(ms)),
      send: (body, last) => drained(call, call.write(encodeStreamedBody(body, last))),
      pause: (ms) => {
        call.pause();
        setTimeout(() => call.resume(), ms).unref();
      },
      end: () => call.end(),
      // grpc-js ends a call with the status of the error that is emitted on it.
      abort: () => call.emit("error", { code: grpc.status.INTERNAL, details: "see the router's log" }),
    },
    reportFault,
  );
  // Node keeps an ended HTTP/2 stream until the next full garbage collection, with all that it leads to. So it must not lead to
  // the request: copying that in each of the smaller collections until then costs a twentieth of all CPU.
  const finished = () => {
    stream?.finished();
    stream = undefined;
  };
  call.on("data", (message) => stream?.message(message));
  // Envoy ends its side when the request is over; without our own end the streams pile up. grpc-js reports
  // `cancelled` too, on every stream, so neither it nor `error` is logged (docs/internals/envoy-facts.md §1).
  call.on("end", finished);
  call.on("cancelled", finished);
  call.on("error", finished);
}

/** Envoy's access log service. Each of Envoy's workers keeps one call open for good, so `drain` ends them: Envoy calls anew. */
function createReportService(relayed: ServerOptions["relayed"]) {
  const calls = new Map<ReportCall, () => void>();
  return {
    methods: {
      StreamAccessLogs(call: ReportCall, callback: grpc.sendUnaryData<Uint8Array>) {
        const end = () => {
          if (calls.delete(call)) callback(null, NO_BYTES);
        };
        calls.set(call, end);
        call.on("data", (streams) => streams.forEach(relayed));
        for (const event of ["end", "cancelled", "error"]) call.on(event, end);
      },
    },
    drain() {
      for (const end of calls.values()) end();
    },
  };
}

/** grpc.health.v1: SERVING until `drain`. */
function createHealthService() {
  const watchers = new Set<grpc.ServerWritableStream<unknown, Uint8Array>>();
  let draining = false;
  const status = () => encodeHealth(draining ? NOT_SERVING : SERVING);
  return {
    methods: {
      Check: (_call: unknown, callback: grpc.sendUnaryData<Uint8Array>) => callback(null, status()),
      Watch: (call: grpc.ServerWritableStream<unknown, Uint8Array>) => {
        watchers.add(call);
        call.on("cancelled", () => watchers.delete(call));
        call.write(status());
      },
    },
    drain() {
      draining = true;
      for (const watcher of watchers) {
        watcher.write(status());
        watcher.end();
      }
    },
  };
}

/** Resolves when the call takes more, or never will. */
function drained(call: Call, hasRoom: boolean): Promise<void> {
  if (hasRoom || call.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      for (const event of ["drain", "cancelled", "close", "error"]) call.off(event, settle);
      resolve();
    };
    for (const event of ["drain", "cancelled", "close", "error"]) call.on(event, settle);
  });
}

function bind(server: grpc.Server, address: ListenAddress): Promise<void> {
  const target = address.kind === "unix" ? `unix:${address.path}` : formatAddress(address);
  return new Promise((resolve, reject) => {
    server.bindAsync(target, grpc.ServerCredentials.createInsecure(), (error) => {
      if (error) reject(new Error(`cannot listen on ${target} (processor.listen): ${whyNoListener(error)}`));
      else resolve();
    });
  });
}

function shutDown(server: grpc.Server, deadline: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve(false);
    }, deadline);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/**
 * Envoy ends streams by RST_STREAM on timeouts and aborts; Node's HTTP/2 takes a burst of about 1,000, then sends GOAWAY,
 * and requests fail. grpc-js has no option for it, but hands these to `http2.createServer` (Node ≥ 22 knows them).
 */
function raiseStreamResetLimits(server: grpc.Server): void {
  // Private to grpc-js, hence the cast and the check: a release that moves it must fail here and not under load.
  const { commonServerOptions } = server as unknown as { commonServerOptions?: Record<string, unknown> };
  if (!commonServerOptions)
    throw new Error("this @grpc/grpc-js has no commonServerOptions: stream resets cannot be raised");
  commonServerOptions.streamResetBurst = STREAM_RESETS;
  commonServerOptions.streamResetRate = STREAM_RESETS;
}

function widenConnections(server: grpc.Server): void {
  // Private to grpc-js as well, which sets only a client's window by an option.
  const { http2Servers } = server as unknown as { http2Servers?: ReadonlyMap<Http2Server, unknown> };
  if (!http2Servers) throw new Error("this @grpc/grpc-js has no http2Servers: connections cannot be widened");
  for (const http2 of http2Servers.keys())
    http2.on("session", (session) => session.setLocalWindowSize(CONNECTION_WINDOW));
}

/**
 * Removes a socket that a killed process left behind. One that somebody serves on stays, and `bind` says so. A socket that
 * is closed in an orderly way needs no removal: Node unlinks it.
 * @throws where the path is something else, which is not ours to remove
 */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket())
    throw new Error(`cannot listen on unix:${path}: it is no socket; remove it, or name another path`);
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
  if (refused) await rm(path, { force: true });
}

function method(
  path: string,
  kind: {
    requestStream: boolean;
    responseStream: boolean;
    requestDeserialize?: (bytes: Buffer) => unknown;
  },
): grpc.MethodDefinition<unknown, Uint8Array> {
  return {
    path,
    requestStream: kind.requestStream,
    responseStream: kind.responseStream,
    // A health check's request only names a service; we have one.
    requestDeserialize: kind.requestDeserialize ?? (() => ({})),
    // Never called: we are the server.
    requestSerialize: () => Buffer.alloc(0),
    responseDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
}
