/**
 * Finds the backend that has what a message is about, where nothing but the backends themselves says so. No question changes anything.
 * For a resource they are asked in the route's order, until one gives it; one that takes long does not keep the next from being asked.
 * A task must be one backend's alone, as it may be cancelled: all are asked at once.
 */
import { callerOf, type Rpc, readResponseBytes, readWords } from "../backends/rpc.ts";
import { readSaid } from "../backends/said.ts";
import { assertNever } from "../core/assert-never.ts";
import type { Question } from "../core/federation/question.ts";
import { isSuccess, type Reply } from "../core/http.ts";
import { placesOf } from "../core/json/places.ts";
import { jsonString } from "../core/json/rewrite.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type AskedSessions, askSessionOf } from "./asker.ts";
import { failedAt } from "./member-failure.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** Bytes of an answer that are read: a resource that is larger is there. */
const MOST_READ = 64 * 1024;

/**
 * ms after which the next backend is asked too: one that is away may take as long as a session may take to open. As long the others may
 * take to say that they have a task of the same id.
 */
const PATIENCE_MS = 1_000;

export const READ = "resources/read";

export interface AskOwnerDependencies {
  /** For calls of our own in the client's name. */
  readonly rpc: Pick<Rpc, "request" | "requestModern">;
}

/** Sends the question to a backend. undefined: it cannot be asked. Never rejects. */
export type AskAt = (member: Member, signal: AbortSignal) => Promise<AskedAt | undefined>;

type Sent = Awaited<ReturnType<Rpc["request"]>>;

interface AskedAt {
  readonly sent: Sent;
  /** Asks in another session, where the backend has lost the one that it was asked in. undefined: there is none. */
  readonly again?: (signal: AbortSignal) => Promise<Sent | undefined>;
}

/** Asks in the client's sessions, which are opened where it has none yet. */
export function askInSession(
  { rpc }: AskOwnerDependencies,
  sessions: AskedSessions,
  request: GatewayRequest<FederatedRoute>,
  key: SessionKey,
  { method, member: by, value }: Question,
): AskAt {
  const message = { method, params: `{"${by}":${jsonString(value)}}` };
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
 * Asks in the modern era, at any endpoint.
 * @param params of the request, with an envelope; undefined: there are none
 */
export function askModern(
  { rpc }: AskOwnerDependencies,
  request: GatewayRequest<FederatedRoute>,
  params: () => Promise<string | undefined>,
  { method, value }: Question,
): AskAt {
  return async ({ route: { backend } }, signal) => {
    const sent = await params();
    if (sent === undefined) return undefined;
    const caller = callerOf(backend, request, undefined);
    return { sent: await rpc.requestModern(caller, { method, params: sent }, value, signal) };
  };
}

/**
 * - `found`: the first backend that has it, by its place in the route; or, where only one has not answered, that one.
 * - `none`: each has said that it does not have it.
 * - `several`: more than one has a task of that id.
 * - `failed`: of those that answered none has it, and this is the first of those that could not be asked: it may have it.
 */
type AskedOwner =
  | { readonly kind: "found"; readonly member: number }
  | { readonly kind: "none" | "several" }
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
  { what }: Question,
  askAt: AskAt,
  signal: AbortSignal,
): Promise<AskedOwner> {
  const { depth } = policy.limits;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const { promise: found, resolve: find } = Promise.withResolvers<AskedOwner>();
  const owners: number[] = [];
  const others = Promise.withResolvers<void>();

  const has = (place: number) => {
    owners.push(place);
    const asOne = (): AskedOwner => (owners.length > 1 ? { kind: "several" } : { kind: "found", member: place });
    if (what === "resource") find(asOne());
    else if (owners.length === 1) void orLater(others.promise).then(() => find(asOne()));
  };
  const ask = async (place: number, member: Member): Promise<Unanswered | undefined> => {
    const asking = await askAt(member, until);
    let said = asking ? await saidIn(asking.sent, depth, until) : "failed";
    if (said === "lost") {
      const again = await asking?.again?.(until);
      if (again) said = await saidIn(again, depth, until);
    }
    if (said === "has") has(place);
    return said === "has" || said === "has-not" ? undefined : { place, member, isOpen: asking !== undefined };
  };

  const asked: Promise<Unanswered | undefined>[] = [];
  try {
    for (const place of members) {
      const member = route.members[place];
      if (!member) continue;
      const asking = ask(place, member);
      asked.push(asking);
      const first = what === "resource" && (await Promise.race([found, orLater(asking)]));
      if (first) return first;
    }
    const all = await Promise.race([found, Promise.all(asked)]);
    others.resolve();
    return Array.isArray(all) && owners.length === 0 ? withoutAnswer(all, signal) : await found;
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

/** What a client gets where no one backend is known to have what its request is about. */
export function withoutOwner(
  request: GatewayRequest<FederatedRoute>,
  { what, value }: Question,
  asked: Exclude<AskedOwner, { kind: "found" }>,
): Reply {
  const { id } = request;
  switch (asked.kind) {
    case "none":
      return refuse({ reason: "not-offered", what, name: value, id }, request);
    case "several":
      return refuse({ reason: "invalid-params", detail: SEVERAL, id }, request);
    case "failed": {
      const why = `it may have the ${what}, and could not be asked`;
      return failedAt({ ...request, route: asked.member.route }, why);
    }
    default:
      return assertNever(asked);
  }
}

const SEVERAL = "several servers have a task of this id, and nothing says which one is meant";

/** What it comes to where no backend has it. */
function withoutAnswer(asked: readonly (Unanswered | undefined)[], signal: AbortSignal): AskedOwner {
  const [first, ...others] = asked.filter((one) => one !== undefined);
  if (!first) return { kind: "none" };
  // Nobody else can have it. It may be back soon, for which a request in its session waits.
  if (others.length === 0 && first.isOpen && !signal.aborted) return { kind: "found", member: first.place };
  return { kind: "failed", member: first.member };
}

async function saidIn(sent: Sent, depth: number, signal: AbortSignal): Promise<Said> {
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
