/** Finds the backend that has a resource which none lists: each is asked, in the route's order. A read changes nothing. */
import { type Rpc, readResponseBytes } from "../backends/rpc.ts";
import { isSuccess } from "../core/http.ts";
import { placesOf } from "../core/json/places.ts";
import { jsonString } from "../core/json/rewrite.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type AskedSessions, askSessionOf } from "./asker.ts";
import type { GatewayRequest } from "./request.ts";

/** Bytes of an answer that are read: a resource that is larger is there. */
const MOST_READ = 64 * 1024;

export interface AskOwnerDependencies {
  /** For calls of our own in the client's session. */
  readonly rpc: Pick<Rpc, "request">;
}

export interface AskedResource {
  readonly uri: string;
  /** Places of the backends in the route. */
  readonly members: readonly number[];
}

/** Resolves to the place of the first backend that gives the resource; undefined where none does before the signal. Never rejects. */
export async function askOwner(
  { rpc }: AskOwnerDependencies,
  sessions: AskedSessions,
  request: GatewayRequest<FederatedRoute>,
  key: SessionKey,
  { uri, members }: AskedResource,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (const place of members) {
    const member = request.route.members[place];
    const session = member && (await askSessionOf(request, member, key, sessions, signal));
    if (!session || signal.aborted) continue;
    const message = { method: "resources/read", params: `{"uri":${jsonString(uri)}}` };
    const sent = await rpc.request(session.caller, session.peer, message, signal);
    if (sent.kind !== "received") continue;
    const { answer } = sent.value;
    if (!isSuccess(answer.status)) {
      answer.discard();
      continue;
    }
    const { depth } = request.policy.limits;
    const read = await readResponseBytes(answer, { bytes: MOST_READ, depth }, signal);
    if (read.kind === "received" && isResult(read.value, depth)) return place;
  }
  return undefined;
}

type ReadBytes = Extract<Awaited<ReturnType<typeof readResponseBytes>>, { kind: "received" }>["value"];

function isResult(read: ReadBytes, deepest: number): boolean {
  if (read.kind !== "response") return read.kind === "too-large";
  const result = placesOf(read.bytes, ["result"], deepest);
  return result.kind === "found" && result.at.length === 1;
}
