/** An official client of one era, and what its server tells it on its own. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

/** Sessions alone, a version without them alone, or whichever the server has. */
export type Mode = "legacy" | "auto" | { readonly pin: string };

export async function connectHearing(url: string, mode: Mode) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const heard: string[] = [];
  client.setNotificationHandler("notifications/tools/list_changed", ({ method }) => void heard.push(method));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  return {
    client,
    heard,
    async close() {
      if (transport.sessionId !== undefined) await transport.terminateSession();
      await client.close();
    },
  };
}
