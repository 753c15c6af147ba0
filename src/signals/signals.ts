/**
 * What routers tell each other of what each of them keeps open for clients. A word that is lost costs time, and nothing else: who
 * needs to know looks again by itself now and then.
 */
import { ALL_LISTS, type ListKind } from "../core/federation/kinds.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";

/** Of a client's session, by its key. */
type SessionSignal = {
  /**
   * `changed`: it has another session at a backend, or more to hear from one. `listening`: a router has opened its stream, so that
   * another one's is the client's last no more. `ended`: it is gone.
   */
  readonly kind: "changed" | "listening" | "ended";
  readonly key: string;
};

/** What a backend offers to everybody is another than before. */
interface ListsSignal {
  readonly kind: "lists";
  /** The backend's name in the catalogue. */
  readonly source: string;
  readonly list: ListKind;
  /** Of the list as it is now; "" where it is no longer offered. */
  readonly digest: string;
}

/** Lists that a backend offers to one principal alone. */
type OwnListsSignal = {
  /** Digest of the principal; of a client without one its session's key. */
  readonly principal: string;
  /** The backend's name in the catalogue. */
  readonly source: string;
} & (
  | {
      /** The backend says to the principal that they have changed. */
      readonly kind: "announced";
    }
  | {
      /** One of them is another than before. */
      readonly kind: "own-lists";
      readonly list: ListKind;
      /** Of the list as it is now; "" where it is no longer offered. */
      readonly digest: string;
    }
);

/** Of the stream that a client has somewhere, and of its session at a backend. */
export interface JoinSignal {
  /**
   * `wanted`: a router is about to send a request there. `joining`: the router that has the client's stream answers. `joined`: the
   * stream brings what the backend says, or will not.
   */
  readonly kind: "wanted" | "joining" | "joined";
  readonly key: string;
  readonly backend: string;
}

export type Signal = SessionSignal | ListsSignal | OwnListsSignal | JoinSignal;

export interface Signals {
  /** Tells all other routers. Returns at once. */
  tell(signal: Signal): void;
  close(): Promise<void>;
}

/** Begins to hear what other routers tell. */
export type OpenSignals = (onSignal: (signal: Signal) => void) => Signals;

/** A router alone has nobody to tell. */
export const openNoSignals: OpenSignals = () => ({ tell: () => undefined, close: async () => undefined });

/** A signal as text. @param from the router that tells it */
export function writeSignal(from: string, signal: Signal): string {
  return JSON.stringify({ from, ...signal });
}

/** undefined: another version's, which this one does not know, or one of `own`. */
export function readSignal(own: string, text: string): Signal | undefined {
  const read = parseJson(text);
  if (!isJsonObject(read) || read.from === own) return undefined;
  const { kind, key, backend } = read;
  if ((kind === "wanted" || kind === "joining" || kind === "joined") && typeof key === "string")
    return typeof backend === "string" ? { kind, key, backend } : undefined;
  if ((kind === "changed" || kind === "listening" || kind === "ended") && typeof key === "string") return { kind, key };
  return readOfLists(read);
}

function readOfLists(read: Readonly<Record<string, unknown>>): ListsSignal | OwnListsSignal | undefined {
  const { kind, principal, source, list, digest } = read;
  if (typeof source !== "string") return undefined;
  if (kind === "announced") return typeof principal === "string" ? { kind, principal, source } : undefined;
  const known = ALL_LISTS.find((one) => one === list);
  if (!known || typeof digest !== "string") return undefined;
  const change = { source, list: known, digest };
  if (kind === "lists") return { kind, ...change };
  return kind === "own-lists" && typeof principal === "string" ? { kind, principal, ...change } : undefined;
}
