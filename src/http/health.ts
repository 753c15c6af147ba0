/**
 * Health, metrics and what operators ask over HTTP: `/healthz` (alive), `/readyz` (accepts requests), `/metrics` (Prometheus),
 * `/catalogue` (what the backends of routes to several offer, as JSON) and `/configuration` (what is in force, and which Envoys have
 * it). An Envoy that follows the configuration asks here too.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { paced } from "../telemetry/paced.ts";
import { answerDiscovery, DISCOVERY_PATH, type DiscoveryAnswer, type DiscoveryPoll } from "./discovery.ts";
import type { HttpServer } from "./listen.ts";
import { serveHttp } from "./server.ts";

export interface Readiness {
  /** Whether Envoy may send requests: false before listening and while draining. */
  readonly ready: boolean;
  /** Faults that do not affect readiness, in words for the operator. */
  readonly troubles: readonly string[];
}

export interface HealthSource {
  readiness(): Readiness | Promise<Readiness>;
  /** Metrics in Prometheus's text format. */
  render(): Promise<string>;
  readonly contentType: string;
  /** JSON text of what backends offer; undefined: nobody can tell at the moment. */
  catalogue(): Promise<string | undefined>;
  /** JSON text of what is in force, and of the Envoys that follow it. */
  configuration(): string;
  /** What an Envoy is told that follows the configuration. */
  discovery(poll: DiscoveryPoll): DiscoveryAnswer;
  /** Called with an error that was answered with 500. */
  fault(error: unknown): void;
}

/** Shortest pause (ms) between two renderings of the metrics, and of the catalogue. Those who ask in between share one, so many do not delay requests. */
const RENDER_PAUSE_MS = 100;

/** Methods that every path allows, for the header `Allow` (RFC 9110 §15.5.6). */
const ALLOWED_METHODS = ["GET", "HEAD"];

/** @throws where the address cannot be listened on */
export function serveHealth(
  address: { readonly host: string; readonly port: number },
  source: HealthSource,
): Promise<HttpServer> {
  const render = paced(() => source.render(), RENDER_PAUSE_MS);
  const catalogue = paced(() => source.catalogue(), RENDER_PAUSE_MS);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url } = request;
    if (method === "POST" && url?.startsWith(DISCOVERY_PATH))
      return answerDiscovery(request, response, (poll) => source.discovery(poll));
    const say = (status: number, text: string, headers: OutgoingHttpHeaders = {}) =>
      void response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers }).end(text);
    if (!ALLOWED_METHODS.includes(method)) return say(405, "GET or HEAD\n", { allow: ALLOWED_METHODS.join(", ") });
    switch (url?.split("?", 1)[0]) {
      case "/healthz":
        return say(200, "ok\n");
      case "/readyz": {
        const { ready, troubles } = await source.readiness();
        return say(ready ? 200 : 503, `${[ready ? "ready" : "not ready", ...troubles].join("\n")}\n`);
      }
      case "/metrics":
        return say(200, await render(), { "content-type": source.contentType });
      case "/catalogue": {
        const text = await catalogue();
        if (text === undefined) return say(503, "no worker answers\n");
        return say(200, text, { "content-type": "application/json" });
      }
      case "/configuration":
        return say(200, source.configuration(), { "content-type": "application/json" });
      default:
        return say(404, "try /healthz, /readyz, /metrics, /catalogue or /configuration\n");
    }
  };
  return serveHttp(address, answer, source.fault, "processor.http");
}
