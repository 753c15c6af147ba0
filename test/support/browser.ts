/** The browser of the user of a client that is a program of its own: a server, which is asked to open an address. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { OpenIdProvider } from "./openid.ts";

export interface Browser {
  /** `GET {url}?url=` with an address of the provider's answers where the login there ends: the client's redirect URI, with the code. */
  readonly url: string;
  /** What it was asked to open. */
  readonly opened: readonly URL[];
  close(): Promise<void>;
}

export async function startBrowser({ login }: OpenIdProvider): Promise<Browser> {
  const opened: URL[] = [];
  const endOf = async (asked: string): Promise<string> => {
    const url = new URL(new URL(asked, "http://browser.invalid").searchParams.get("url") ?? "");
    opened.push(url);
    const end = new URL(url.searchParams.get("redirect_uri") ?? "");
    end.search = String(await login(url));
    return end.href;
  };
  const server = createServer((request, response) => {
    endOf(request.url ?? "").then(
      (end) => response.end(end),
      (error) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // Safe: it listens on TCP.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    opened,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
