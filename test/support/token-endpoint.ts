/** A token endpoint on loopback that exchanges tokens (RFC 8693), and fails as a test says. */

import { type HttpServer, startHttpServer } from "./scripted-server.ts";

/** A request as it came. */
interface ExchangeRequest {
  readonly authorization: string | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  /** `sub` of the subject token. */
  readonly subject: string;
}

/** What a test wants said in place of a token. `hold`: nothing, until it is closed. */
export type Said =
  | { readonly status: number; readonly body: string; readonly headers?: Record<string, string> }
  | "hold";

export interface TokenEndpoint extends HttpServer {
  readonly exchanges: readonly ExchangeRequest[];
  /** Decides on each request that follows. undefined: it is answered by a token. */
  say(script: ((request: ExchangeRequest) => Said | undefined) | undefined): void;
}

export const subjectOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { sub: string }).sub;

/** A token that nobody has signed: for who only reads it. */
export function unsignedToken(claims: object): string {
  const [header, payload] = [{ alg: "none" }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  return `${header}.${payload}.`;
}

/** @param lifetime seconds of its tokens */
export async function startTokenEndpoint({ lifetime = 300 } = {}): Promise<TokenEndpoint> {
  const exchanges: ExchangeRequest[] = [];
  let script: Parameters<TokenEndpoint["say"]>[0];
  const server = await startHttpServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const parameters = Object.fromEntries(new URLSearchParams(text));
    const subject = subjectOf(parameters.subject_token ?? "");
    const { authorization } = request.headers;
    const exchange = { authorization, parameters, subject };
    exchanges.push(exchange);
    const said = script?.(exchange);
    if (said === "hold") return;
    const issued = {
      access_token: unsignedToken({ sub: subject, aud: parameters.audience, n: exchanges.length }),
      issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
      token_type: "Bearer",
      expires_in: lifetime,
    };
    const { status, body, headers = {} } = said ?? { status: 200, body: JSON.stringify(issued) };
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
  });
  return Object.assign(server, {
    exchanges,
    say(wanted: Parameters<TokenEndpoint["say"]>[0]) {
      script = wanted;
    },
  });
}
