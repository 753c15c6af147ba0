/** Health and metrics over HTTP, for probes and Prometheus. */
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import { paced } from "./paced.ts";

export interface HealthServer {
  close(): Promise<void>;
}

export interface Readiness {
  /** Whether Envoy may send requests: false before listening and while draining. */
  readonly ready: boolean;
  /** What is wrong all the same, in words for the operator. */
  readonly troubles: readonly string[];
}

/** What there is to tell. */
export interface HealthSource {
  readiness(): Readiness | Promise<Readiness>;
  /** Metrics in the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
  /** Told of what should not have happened: who asked has got a 500. */
  fault(error: unknown): void;
}

function sayReadiness({ ready, troubles }: Readiness, say: (status: number, text: string) => void): void {
  say(ready ? 200 : 503, `${[ready ? "ready" : "not ready", ...troubles].join("\n")}\n`);
}

/** Least ms between two renderings of the metrics: those of all who ask are one, so that no crowd of scrapers holds up requests. */
const RENDER_PAUSE_MS = 100;

/** Methods of the whole port, for `Allow` (RFC 9110 §15.5.6). */
const ALLOWED_METHODS = ["GET", "HEAD"];

/** Serves `/healthz` (alive), `/readyz` (takes requests) and `/metrics`. */
export async function serveHealth(
  { host, port }: { readonly host: string; readonly port: number },
  source: HealthSource,
): Promise<HealthServer> {
  const render = paced(() => source.render(), RENDER_PAUSE_MS);
  const answer = async ({ method = "", url }: IncomingMessage, response: ServerResponse): Promise<void> => {
    const say = (status: number, text: string, headers: OutgoingHttpHeaders = {}) =>
      void response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers }).end(text);
    if (!ALLOWED_METHODS.includes(method)) return say(405, "GET or HEAD\n", { allow: ALLOWED_METHODS.join(", ") });
    switch (url?.split("?", 1)[0]) {
      case "/healthz":
        return say(200, "ok\n");
      case "/readyz":
        return sayReadiness(await source.readiness(), say);
      case "/metrics":
        return say(200, await render(), { "content-type": source.contentType });
      default:
        return say(404, "try /healthz, /readyz or /metrics\n");
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      source.fault(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`)));
    server.listen(port, host, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
