/** The clients of npm's official SDKs use several servers behind one URL as if they were one. */
import { afterAll, beforeAll } from "vitest";
import { NPM_SDKS, OF_EITHER_ERA } from "../support/clients.ts";
import { usesSeveralServers } from "../support/federation-promises.ts";
import { type SeveralServers, startSeveralServers } from "../support/several-servers.ts";

let servers: SeveralServers;
beforeAll(async () => {
  servers = await startSeveralServers();
});
afterAll(() => servers?.stop());

for (const sdk of [...NPM_SDKS, OF_EITHER_ERA]) usesSeveralServers(sdk, () => servers);
