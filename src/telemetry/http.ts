/** Health and metrics over HTTP, for probes and Prometheus. */
import { createServer } from "node:http";

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
}

function sayReadiness({ ready, troubles }: Readiness, say: (status: number, text: string) => void): void {
  say(ready ? 200 : 503, `${[ready ? "ready" : "not ready", ...troubles].join("\n")}\n`);
}

/** Serves `/healthz` (alive), `/readyz` (takes requests) and `/metrics`. */
export async function serveHealth(
  { host, port }: { readonly host: string; readonly port: number },
  source: HealthSource,
): Promise<HealthServer> {
  const server = createServer(async (request, response) => {
    const say = (status: number, text: string, type = "text/plain; charset=utf-8") =>
      response.writeHead(status, { "content-type": type }).end(text);
    switch (request.url?.split("?", 1)[0]) {
      case "/healthz":
        return say(200, "ok\n");
      case "/readyz":
        return sayReadiness(await source.readiness(), say);
      case "/metrics":
        return say(200, await source.render(), source.contentType);
      default:
        return say(404, "try /healthz, /readyz or /metrics\n");
    }
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
