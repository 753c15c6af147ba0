/** Requests whose body does not come: what a client can make Envoy and the router hold. */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { MCP_HEADERS } from "./http.ts";

interface Held {
  /** Settles with the status, or undefined where the stream was reset or the connection closed. */
  readonly answered: Promise<number | undefined>;
}

export interface Holder {
  /** What the server said of itself. */
  readonly session: ClientHttp2Session;
  /** Begins a POST, sends this much of its body, and no end. */
  hold(path: string, body: string): Held;
  close(): void;
}

/** An HTTP/2 connection on which bodies do not end. */
export async function openHolder(port: number): Promise<Holder> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  await once(session, "remoteSettings");
  return {
    session,
    hold: (path, body) => {
      const stream = session.request({ ":method": "POST", ":path": path, ...MCP_HEADERS });
      stream.on("error", () => undefined);
      stream.write(body);
      return { answered: statusOf(stream) };
    },
    close: () => session.destroy(),
  };
}

function statusOf(stream: ClientHttp2Stream): Promise<number | undefined> {
  return new Promise((resolve) => {
    stream.on("response", (headers) => {
      stream.resume();
      resolve(headers[":status"]);
    });
    stream.on("close", () => resolve(undefined));
  });
}
