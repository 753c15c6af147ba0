/** The clients of other languages' official SDKs use several servers behind one URL as if they were one. */
import { afterAll, beforeAll } from "vitest";
import { usesSeveralServers } from "../support/federation-promises.ts";
import { type SeveralServers, startSeveralServers } from "../support/several-servers.ts";
import { PROGRAM_SDKS } from "./programs.ts";

let servers: SeveralServers;
beforeAll(async () => {
  servers = await startSeveralServers();
});
afterAll(() => servers?.stop());

for (const sdk of PROGRAM_SDKS) usesSeveralServers(sdk, () => servers);
