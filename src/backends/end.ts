/**
 * Ends sessions at backends: those that have expired or were parked, those that were begun and cannot be used, and those that
 * another one has replaced. Otherwise they cost the backend memory until it forgets them itself.
 */
import { type Header, isSuccess } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import type { Destination, Egress, Purpose } from "./client.ts";

/** How long (ms) one call may take. */
const END_TIMEOUT_MS = 5_000;
/** How long (ms) a stop lets calls under way end: nobody else would tell these backends. */
const STOP_GRACE_MS = 1_000;
/** Sessions that one backend is told of in turn at once. */
export const AT_ONCE = 8;
/** Sessions that one backend is told of in turn or that wait for it: their slots are others' already, so nothing else bounds them. */
export const MOST_IN_TURN = 1_000;

export type EndEvent =
  | { readonly kind: "told"; readonly backend: string }
  /** `given-up`: the backend will not be told, since it failed before, or is too slow. */
  | { readonly kind: "not-told"; readonly backend: string; readonly why: "given-up" | Error };

export interface SessionEnder {
  /**
   * Tells a backend at once that a session there has ended. Resolves to whether it was told; never rejects. A backend that the
   * configuration no longer names is not told, and counts as told.
   * @param credentials headers of the client, where they are at hand (credentials.ts)
   */
  end(backend: string, session: BackendSession, credentials: readonly Header[]): Promise<boolean>;
  /** The same of a backend that the configuration may name no longer, without credentials. */
  endAt(backend: Backend, session: BackendSession): Promise<boolean>;
  /**
   * The same in turn, without credentials: each backend is told of AT_ONCE sessions at once, and MOST_IN_TURN may wait. A backend
   * that is slower than sessions are parked is not told of those beyond them.
   */
  endInTurn(backend: string, session: BackendSession): void;
  /** Ends a session that is believed gone already. That it cannot be told is expected, and is not observed. */
  endIfThere(at: Destination, session: BackendSession, credentials: readonly Header[]): void;
  /**
   * Lets calls under way end, for a moment, and then cuts them off.
   * @param callers resolves when no call is begun any more
   */
  stop(callers: Promise<void>): Promise<void>;
}

export interface SessionEnderOptions {
  readonly egress: Egress;
  /** The backend of this name in the configuration in force. */
  readonly backendOf: (name: string) => Backend | undefined;
  readonly observe: (event: EndEvent) => void;
}

export function createSessionEnder({ egress, backendOf, observe }: SessionEnderOptions): SessionEnder {
  const stopping = new AbortController();
  const underway = new Set<Promise<unknown>>();
  /** By backend: a slow one must not hold up another. Backends come from the configuration, so these are few. */
  const turns = new Map<string, Semaphore>();

  const endAt = async (backend: Backend, session: BackendSession, credentials: readonly Header[]) => {
    const failure = await endSession(egress, { backend, query: "" }, session, credentials, stopping.signal);
    if (failure === undefined) observe({ kind: "told", backend: backend.name });
    // A call that we cut off is no fault of the backend's.
    else if (!stopping.signal.aborted) observe({ kind: "not-told", backend: backend.name, why: failure });
    return failure === undefined;
  };
  const end: SessionEnder["end"] = async (name, session, credentials) => {
    const backend = backendOf(name);
    if (backend) return endAt(backend, session, credentials);
    observe({ kind: "told", backend: name });
    return true;
  };
  const track = <Outcome>(call: Promise<Outcome>): Promise<Outcome> => {
    const tracked = call.finally(() => underway.delete(tracked));
    underway.add(tracked);
    return tracked;
  };
  const turnsOf = (backend: string): Semaphore => {
    const known = turns.get(backend) ?? createSemaphore(AT_ONCE);
    turns.set(backend, known);
    return known;
  };

  return {
    end: (backend, session, credentials) => track(end(backend, session, credentials)),
    endAt: (backend, session) => track(endAt(backend, session, [])),
    endInTurn(backend, session) {
      const turns = turnsOf(backend);
      if (turns.size >= MOST_IN_TURN) observe({ kind: "not-told", backend, why: "given-up" });
      else void track(turns.run(() => end(backend, session, [])));
    },
    endIfThere(at, session, credentials) {
      // Its own signal: the session is ended also where its caller has left, or has run out of time.
      void endSession(egress, at, session, credentials, new AbortController().signal);
    },
    async stop(callers) {
      const late = setTimeout(() => stopping.abort(), STOP_GRACE_MS);
      await callers;
      await Promise.all(underway);
      clearTimeout(late);
    },
  };
}

/**
 * Ends a session at once (MCP 2025-11-25, "Session Management": DELETE). Never rejects. An answer 404 (the backend does not know it) or 405 (clients may
 * not end sessions there) is as good as 2xx.
 * @returns why the backend was not told; undefined where it was
 */
export async function endSession(
  egress: Egress,
  to: Destination,
  session: BackendSession,
  credentials: readonly Header[],
  signal: AbortSignal,
  purpose: Purpose = "sweep",
): Promise<Error | undefined> {
  const bound = AbortSignal.any([signal, AbortSignal.timeout(END_TIMEOUT_MS)]);
  try {
    // No MCP-Protocol-Version: it would have to be the negotiated one. Servers then assume 2025-03-26.
    const call = { purpose, to, session, method: "DELETE", headers: credentials } as const;
    const { status, discard } = await egress.send(call, bound);
    discard();
    const isTold = isSuccess(status) || status === 404 || status === 405;
    return isTold ? undefined : new Error(`the backend answers ${status}`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
