/** The clients of other languages' official SDKs keep their session while Redis is away. */
import { describe } from "vitest";
import { keepsItsSessionWithoutRedis } from "../support/client-promises.ts";
import { PROGRAM_SDKS } from "./programs.ts";

describe("Redis away for two seconds", () => {
  for (const sdk of PROGRAM_SDKS) keepsItsSessionWithoutRedis(sdk);
});
