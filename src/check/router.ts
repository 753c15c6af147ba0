/** `mcp-router check --live`: asks the router itself whether it runs, at `processor.http`. */
import { request } from "node:http";
import { formatAddress, fromSameMachine, type TcpAddress } from "../core/address.ts";

/** How long (ms) the router may take to answer. */
const TIMEOUT_MS = 2_000;

/** A line for the operator. `isWarning`: it does not run, or is not ready. */
export interface RouterSays {
  readonly text: string;
  readonly isWarning: boolean;
}

/** Never rejects. @param address of `processor.http`; undefined: there is none */
export async function askRouter(address: TcpAddress | undefined): Promise<RouterSays> {
  if (!address) return { text: "router: not asked whether it runs, since processor.http is not set", isWarning: false };
  const at = `http://${formatAddress(fromSameMachine(address))}/readyz`;
  const answered = await answerOf(at);
  if (typeof answered === "string")
    return { text: `the router does not answer at ${at} (processor.http): ${answered}`, isWarning: true };
  if (answered === 200) return { text: `router: runs, and is ready (${at})`, isWarning: false };
  return { text: `the router runs, and is not ready: ${at} answers ${answered}`, isWarning: true };
}

/** Its status, or why there is none. */
function answerOf(url: string): Promise<number | string> {
  return new Promise((resolve) => {
    const sent = request(url, { agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
      response.resume();
      resolve(response.statusCode ?? "no status");
    });
    sent.on("error", (error) =>
      resolve(error.name === "AbortError" ? `not within ${TIMEOUT_MS / 1_000} s` : error.message),
    );
    sent.end();
  });
}
