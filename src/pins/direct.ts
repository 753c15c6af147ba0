/** Calls to backends themselves, where no Envoy runs yet. */
import { createEgress, type Egress } from "../backends/client.ts";
import type { BackendConfig } from "../config/backends.ts";
import { formatAddress } from "../core/address.ts";
import type { BackendCredentials } from "../credentials/credentials.ts";

/** Goes to the first endpoint of each. How to trust a backend with TLS is Envoy's to know, so such a call rejects. */
export function createDirectEgress(backends: readonly BackendConfig[], credentials: BackendCredentials): Egress {
  const direct = new Map(
    backends.flatMap(({ name, host, tls, endpoints: [first] }) => {
      if (tls || !first) return [];
      const endpoint = formatAddress(first);
      const egress = createEgress(`http://${endpoint}`, credentials);
      return [[name, { egress, endpoint, headers: host === undefined ? [] : [["host", host] as const] }]];
    }),
  );
  return {
    async send(call, signal) {
      const to = direct.get(call.to.backend.name);
      if (!to) throw new Error("it has TLS, and is asked through Envoy alone: leave --direct out");
      const answer = await to.egress.send({ ...call, headers: [...call.headers, ...to.headers] }, signal);
      return { ...answer, endpoint: to.endpoint };
    },
    close: async () => void (await Promise.all(Array.from(direct.values(), ({ egress }) => egress.close()))),
  };
}
