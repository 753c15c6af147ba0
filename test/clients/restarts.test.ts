/** The clients of other languages' official SDKs go on through a restart of their server, as if nothing had happened. */
import { afterAll, beforeAll } from "vitest";
import { goesThroughRestarts } from "../support/client-promises.ts";
import { type Restartable, startRestartable } from "../support/restartable.ts";
import { PROGRAM_SDKS } from "./programs.ts";

let servers: Restartable;
beforeAll(async () => {
  servers = await startRestartable();
});
afterAll(() => servers?.stop());

for (const sdk of PROGRAM_SDKS) goesThroughRestarts(sdk, () => servers);
