/** The clients of other languages' official SDKs keep their sessions while a lone router restarts. */
import { keepTheirSessionsWithoutRouter } from "../support/client-promises.ts";
import { PROGRAM_SDKS } from "./programs.ts";

keepTheirSessionsWithoutRouter(PROGRAM_SDKS);
