/** Has a server listen. */
import type { Server } from "node:net";
import { formatAddress, whyNoListener } from "../core/address.ts";

export interface HttpServer {
  close(): Promise<void>;
}

/**
 * @param setting where the address comes from, for an error
 * @throws where the address cannot be listened on
 */
export function listenAt(
  server: Pick<Server, "once" | "listen">,
  address: { readonly host: string; readonly port: number },
  setting: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const where = `${formatAddress(address)} (${setting})`;
    server.once("error", (error) => reject(new Error(`cannot listen on ${where}: ${whyNoListener(error)}`)));
    server.listen(address.port, address.host, resolve);
  });
}
