/** Health and metrics over HTTP, for probes and Prometheus. */
import { createServer } from "node:http";

export interface HealthServer {
  close(): Promise<void>;
}

/** What there is to tell. */
export interface HealthSource {
  /** Whether Envoy may send requests: false before listening and while draining. */
  ready(): boolean | Promise<boolean>;
  /** Metrics in the text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
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
        return (await source.ready()) ? say(200, "ready\n") : say(503, "not ready\n");
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
