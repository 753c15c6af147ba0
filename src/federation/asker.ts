/** Asks backends for lists that depend on who asks: in the client's own session, where the backend has any, with its credentials. */
import type { Egress } from "../backends/client.ts";
import { type Caller, createRpc, type RpcPeer } from "../backends/rpc.ts";
import { eraAt } from "../core/federation/era.ts";
import type { Member } from "../core/routes.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import { askLists, isLost, listsOf, modernRequests, requestsInSession } from "./ask.ts";
import { NOTHING_KNOWN } from "./kept-lists.ts";
import { envelopeOf } from "./probe.ts";
import type { Ask, Asked, Source } from "./source.ts";

/** Clients' sessions in which one backend is asked at once. */
export const ASKED_AT_ONCE = 8;

/** A client's own session at a backend, to ask for lists in. */
export interface AskSession {
  readonly caller: Caller;
  readonly peer: RpcPeer;
  /** Begins another session in place of this one, which the backend seems to have lost. undefined: there is none. */
  replace(signal: AbortSignal): Promise<AskSession | undefined>;
}

/** Who asks. */
export interface Asker {
  /** Digest of the principal; of a client without one its session's key. */
  readonly principal: string;
  /** The client's own session at a member. undefined: there is none. */
  open(member: Member, signal: AbortSignal): Promise<AskSession | undefined>;
  /** For calls in the client's name outside sessions. */
  caller(member: Member): Caller;
}

const NO_SESSION: Asked = { kind: "failed", failure: { reason: "no-session" } };
const LATE: Asked = { kind: "failed", failure: { reason: "timeout" } };

/** Asks a member in the name of a client. `shared`: where the member says which lists it has. */
export type AskFor = (asker: Asker, member: Member, shared: Source | undefined) => Ask;

/** @param version the router's own */
export function createAskFor(egress: Egress, version: string): AskFor {
  const rpc = createRpc(egress, "list");
  /** By backend: these come from the configuration, so they are few. */
  const turns = new Map<string, Semaphore>();

  return (asker, member, shared) => async (limits, signal) => {
    const { name } = member.route.backend;
    const turn = turns.get(name) ?? createSemaphore(ASKED_AT_ONCE);
    turns.set(name, turn);
    const release = await turn.acquire(signal);
    if (!release) return LATE;
    try {
      await shared?.ready();
      const { offer, ...eras } = shared?.offering ?? NOTHING_KNOWN;
      const kinds = listsOf(offer);
      if (eraAt("legacy", eras) === "modern") {
        const request = modernRequests(rpc, asker.caller(member), envelopeOf(version));
        return {
          kind: "answered",
          inSession: false,
          offer: undefined,
          lists: await askLists({ era: "modern", request, limits }, kinds, signal),
        };
      }
      const session = await asker.open(member, signal);
      if (!session) return NO_SESSION;
      const ask = ({ caller, peer }: AskSession) =>
        askLists({ era: "legacy", request: requestsInSession(rpc, caller, peer), limits }, kinds, signal);
      const lists = await ask(session);
      const another = isLost(lists) ? await session.replace(signal) : undefined;
      return { kind: "answered", inSession: true, offer: undefined, lists: another ? await ask(another) : lists };
    } catch (error) {
      return {
        kind: "failed",
        failure: { reason: "broken", error: error instanceof Error ? error.message : String(error) },
      };
    } finally {
      release();
    }
  };
}
