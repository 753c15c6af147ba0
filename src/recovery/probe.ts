/** Asks a backend by a ping whether it knows a session. */
import { type NoAnswer, type Rpc, readWords } from "../backends/rpc.ts";
import { readSaid } from "../backends/said.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { Loss } from "./loss.ts";
import { isLost } from "./lost.ts";
import { lengthOf, type PingAnswer } from "./may-have-run.ts";

/** Asks the endpoint that answered whether it knows the session. */
export async function probe(
  rpc: Rpc,
  loss: Loss,
  signal: AbortSignal,
): Promise<{ readonly kind: "probed"; readonly ping: PingAnswer; readonly isLost: boolean } | NoAnswer> {
  const { used, answeredBy, version, status, headers } = loss;
  const session = { sessionId: used.sessionId, endpoint: answeredBy, setCookies: [], version };
  const sent = await rpc.request({ ...loss, credentials: headers }, session, { method: "ping" }, signal);
  if (sent.kind !== "received") return sent;
  const { id, answer } = sent.value;
  const words = await readWords(answer, signal);
  if (words.kind !== "received") return words;
  const ping = {
    status: answer.status,
    namesSession: answer.header(MCP_SESSION_ID) !== undefined,
    length: lengthOf((name) => answer.header(name)),
    ids: words.value.split(id).length - 1,
    idLength: id.length,
  };
  return { kind: "probed", ping, isLost: isLost(status, answer.status, readSaid(answer.status, words.value)) };
}
