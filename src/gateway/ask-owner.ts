/**
 * Finds the backend that has a resource which none lists: they are asked in the route's order, until one gives it. One that takes long
 * does not keep the next from being asked. A read changes nothing.
 */
import { callerOf, type Rpc, readResponseBytes, readWords } from "../backends/rpc.ts";
import { readSaid } from "../backends/said.ts";
import { isSuccess } from "../core/http.ts";
import { placesOf } from "../core/json/places.ts";
import { jsonString } from "../core/json/rewrite.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type AskedSessions, askSessionOf } from "./asker.ts";
import type { GatewayRequest } from "./request.ts";

/** Bytes of an answer that are read: a resource that is larger is there. */
const MOST_READ = 64 * 1024;

/** ms after which the next backend is asked too: one that is away may take as long as a session may take to open. */
const PATIENCE_MS = 1_000;

export const READ = "resources/read";

export interface AskOwnerDependencies {
  /** For calls of our own in the client's name. */
  readonly rpc: Pick<Rpc, "request" | "requestModern">;
}

/** Sends a resources/read of the resource to a backend. undefined: it cannot be asked. Never rejects. */
export type ReadAt = (member: Member, signal: AbortSignal) => Promise<ReadAsked | undefined>;

type ReadSent = Awaited<ReturnType<Rpc["request"]>>;

interface ReadAsked {
  readonly sent: ReadSent;
  /** Asks in another session, where the backend has lost the one that it was asked in. undefined: there is none. */
  readonly again?: (signal: AbortSignal) => Promise<ReadSent | undefined>;
}

/** Reads in the client's sessions, which are opened where it has none yet. */
export function readInSession(
  { rpc }: AskOwnerDependencies,
  sessions: AskedSessions,
  request: GatewayRequest<FederatedRoute>,
  key: SessionKey,
  uri: string,
): ReadAt {
  const message = { method: READ, params: `{"uri":${jsonString(uri)}}` };
  return async (member, signal) => {
    const session = await askSessionOf(request, member, key, sessions, signal);
    if (!session) return undefined;
    return {
      sent: await rpc.request(session.caller, session.peer, message, signal),
      async again(until) {
        const another = await session.replace(until);
        return another && rpc.request(another.caller, another.peer, message, until);
      },
    };
  };
}

/**
 * Reads in the modern era, at any endpoint.
 * @param params of the request, with an envelope; undefined: there are none
 */
export function readModern(
  { rpc }: AskOwnerDependencies,
  request: GatewayRequest<FederatedRoute>,
  params: () => Promise<string | undefined>,
  uri: string,
): ReadAt {
  return async ({ route: { backend } }, signal) => {
    const sent = await params();
    if (sent === undefined) return undefined;
    const caller = callerOf(backend, request, undefined);
    return { sent: await rpc.requestModern(caller, { method: READ, params: sent }, uri, signal) };
  };
}

/**
 * - `found`: the first backend that gives the resource, by its place in the route; or, where only one has not answered, that one.
 * - `none`: each has said that it does not have it.
 * - `failed`: of those that answered none gives it, and this is the first of those that could not be asked: it may have it.
 */
export type AskedOwner =
  | { readonly kind: "found"; readonly member: number }
  | { readonly kind: "none" }
  | { readonly kind: "failed"; readonly member: Member };

/** `lost`: the backend seems not to know the session. */
type Said = "has" | "has-not" | "lost" | "failed";

/** A backend that has not answered. `isOpen`: the client has a session there, so it gets a request at once. */
interface Unanswered {
  readonly place: number;
  readonly member: Member;
  readonly isOpen: boolean;
}

/** Asks until the signal comes. Never rejects. */
export async function askOwner(
  { route, policy }: GatewayRequest<FederatedRoute>,
  /** Places of the backends in the route. */
  members: readonly number[],
  read: ReadAt,
  signal: AbortSignal,
): Promise<AskedOwner> {
  const { depth } = policy.limits;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const { promise: found, resolve: find } = Promise.withResolvers<AskedOwner>();

  const ask = async (place: number, member: Member): Promise<Unanswered | undefined> => {
    const asking = await read(member, until);
    let said = asking ? await saidIn(asking.sent, depth, until) : "failed";
    if (said === "lost") {
      const again = await asking?.again?.(until);
      if (again) said = await saidIn(again, depth, until);
    }
    if (said === "has") find({ kind: "found", member: place });
    return said === "has" || said === "has-not" ? undefined : { place, member, isOpen: asking !== undefined };
  };

  const asked: Promise<Unanswered | undefined>[] = [];
  try {
    for (const place of members) {
      const member = route.members[place];
      if (!member) continue;
      const asking = ask(place, member);
      asked.push(asking);
      const first = await Promise.race([found, orLater(asking)]);
      if (first) return first;
    }
    return await Promise.race([found, Promise.all(asked).then((all) => withoutAnswer(all, signal))]);
  } finally {
    over.abort();
  }
}

/** Waits for something, but not for long. */
async function orLater(asking: Promise<unknown>): Promise<undefined> {
  const { promise: later, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, PATIENCE_MS);
  await Promise.race([asking, later]);
  clearTimeout(timer);
}

/** What it comes to where no backend gives the resource. */
function withoutAnswer(asked: readonly (Unanswered | undefined)[], signal: AbortSignal): AskedOwner {
  const [first, ...others] = asked.filter((one) => one !== undefined);
  if (!first) return { kind: "none" };
  // Nobody else can have it. It may be back soon, for which a request in its session waits.
  if (others.length === 0 && first.isOpen && !signal.aborted) return { kind: "found", member: first.place };
  return { kind: "failed", member: first.member };
}

async function saidIn(sent: ReadSent, depth: number, signal: AbortSignal): Promise<Said> {
  if (sent.kind !== "received") return "failed";
  const { answer } = sent.value;
  if (!isSuccess(answer.status)) {
    const words = await readWords(answer, signal);
    const said = words.kind === "received" ? readSaid(answer.status, words.value) : "unclear";
    if (said === "lost") return "lost";
    // A JSON-RPC error is its answer, but for a 5xx: Envoy says so too that a connection broke.
    return said === "alive" && answer.status < 500 ? "has-not" : "failed";
  }
  const read = await readResponseBytes(answer, { bytes: MOST_READ, depth }, signal);
  if (read.kind !== "received") return "failed";
  return isResult(read.value, depth) ? "has" : "has-not";
}

type ReadBytes = Extract<Awaited<ReturnType<typeof readResponseBytes>>, { kind: "received" }>["value"];

function isResult(read: ReadBytes, deepest: number): boolean {
  if (read.kind !== "response") return read.kind === "too-large";
  const result = placesOf(read.bytes, ["result"], deepest);
  return result.kind === "found" && result.at.length === 1;
}
