/** Asks a backend for its lists: all their pages, within bounds. */
import type { Answer } from "../backends/client.ts";
import { retryAfter } from "../backends/retry-after.ts";
import { type Caller, type NoAnswer, type Rpc, type RpcPeer, readResponseBytes, readWords } from "../backends/rpc.ts";
import { readSaid } from "../backends/said.ts";
import { saysSessionUnknown } from "../backends/session-words.ts";
import { METHOD_NOT_FOUND } from "../core/codes.ts";
import type { Era } from "../core/federation/era.ts";
import { ALL_LISTS, LIST_KINDS, type ListKind } from "../core/federation/kinds.ts";
import { MOST_ITEMS, type RawItem, readListPage } from "../core/federation/list-page.ts";
import type { Offer } from "../core/federation/offer.ts";
import { isSuccess } from "../core/http.ts";
import { jsonString } from "../core/json/rewrite.ts";
import type { ListLimits } from "../core/routes.ts";
import type { AskFailure, Cut } from "./events.ts";

export interface Asking {
  /** Of the requests. */
  readonly era: Era;
  readonly request: SendRequest;
  readonly limits: AskLimits;
}

/** Sends a request to the backend that is asked. `params`: JSON texts of members. */
type SendRequest = (method: string, params: readonly string[], signal: AbortSignal) => ReturnType<Rpc["request"]>;

export function requestsInSession(rpc: Rpc, caller: Caller, peer: RpcPeer): SendRequest {
  return (method, params, signal) => {
    const message = params.length === 0 ? { method } : { method, params: `{${params.join(",")}}` };
    return rpc.request(caller, peer, message, signal);
  };
}

/** @param envelope JSON text of the member that each request of the modern era has */
export function modernRequests(rpc: Rpc, caller: Caller, envelope: string): SendRequest {
  return (method, params, signal) =>
    rpc.requestModern(caller, { method, params: `{${[...params, envelope].join(",")}}` }, undefined, signal);
}

export interface AskLimits extends ListLimits {
  /** Nesting of JSON that is read. */
  readonly depth: number;
}

export interface ListRead {
  readonly items: readonly RawItem[];
  /** Number of items that nothing could name. */
  readonly leftOut: number;
  readonly cut: Cut | undefined;
}

type ListOutcome =
  | { readonly kind: "listed"; readonly read: ListRead }
  | { readonly kind: "failed"; readonly failure: AskFailure }
  /** The backend does not know the session. */
  | { readonly kind: "lost" };

/** What each list has come to. A list that is not in it is one that the backend does not have. */
export type ListOutcomes = ReadonlyMap<ListKind, ListOutcome>;

/** The lists that a backend has; all where it has not said so. */
export function listsOf(offer: Offer | undefined): readonly ListKind[] {
  return offer ? ALL_LISTS.filter((kind) => offer.capabilities.has(LIST_KINDS[kind].capability)) : ALL_LISTS;
}

/** Whether the backend does not know the session that it was asked in. */
export function isLost(lists: ListOutcomes): boolean {
  return [...lists.values()].some(({ kind }) => kind === "lost");
}

/** Asks for several lists at once. Never rejects. */
export async function askLists(asking: Asking, kinds: readonly ListKind[], signal: AbortSignal): Promise<ListOutcomes> {
  return new Map(
    await Promise.all(kinds.map(async (kind) => [kind, await new ListReading(asking, kind).read(signal)] as const)),
  );
}

type PageOutcome =
  | { readonly kind: "next"; readonly cursor: string }
  | { readonly kind: "end"; readonly cut: Cut | undefined }
  | Exclude<ListOutcome, { kind: "listed" }>;

const END: PageOutcome = { kind: "end", cut: undefined };

/** Reads one list, page by page. */
class ListReading {
  readonly #asking: Asking;
  readonly #kind: ListKind;
  readonly #items: RawItem[] = [];
  readonly #cursors = new Set<string>();
  #bytes = 0;
  #leftOut = 0;

  constructor(asking: Asking, kind: ListKind) {
    this.#asking = asking;
    this.#kind = kind;
  }

  async read(signal: AbortSignal): Promise<ListOutcome> {
    const { limits } = this.#asking;
    let cursor: string | undefined;
    for (let pages = 1; ; pages++) {
      const page = await this.#page(cursor, signal);
      if (page.kind === "end") return this.#listed(page.cut);
      if (page.kind !== "next") return page;
      const cut = pages >= limits.pages ? "pages" : this.#cutBy(page.cursor);
      if (cut) return this.#listed(cut);
      cursor = page.cursor;
    }
  }

  /** What keeps the next page from being asked for. */
  #cutBy(cursor: string): Cut | undefined {
    if (this.#cursors.has(cursor)) return "cursor";
    this.#cursors.add(cursor);
    if (this.#bytes >= this.#asking.limits.bytes) return "bytes";
    return this.#items.length >= MOST_ITEMS ? "items" : undefined;
  }

  async #page(cursor: string | undefined, signal: AbortSignal): Promise<PageOutcome> {
    const { method } = LIST_KINDS[this.#kind];
    const params = cursor === undefined ? [] : [`"cursor":${jsonString(cursor)}`];
    const sent = await this.#asking.request(method, params, signal);
    if (sent.kind !== "received") return failed(failureOf(sent));
    const { answer } = sent.value;
    return isSuccess(answer.status) ? this.#read(answer, signal) : refused(answer, signal);
  }

  async #read(answer: Answer, signal: AbortSignal): Promise<PageOutcome> {
    const { era, limits } = this.#asking;
    const response = await readResponseBytes(
      answer,
      { bytes: limits.bytes - this.#bytes, depth: limits.depth },
      signal,
    );
    if (response.kind !== "received") return failed(failureOf(response));
    if (response.value.kind === "too-large")
      return this.#items.length > 0 ? { kind: "end", cut: "bytes" } : failed({ reason: "too-large" });
    if (response.value.kind === "none") return failed({ reason: "unreadable", why: NO_RESPONSE });
    const { bytes } = response.value;
    const page = readListPage(bytes, this.#kind, limits.depth);
    switch (page.kind) {
      case "page":
        this.#bytes += bytes.length;
        this.#leftOut += page.leftOut;
        for (const item of page.items) this.#items.push(item);
        return isEnd(page.nextCursor, era) ? END : { kind: "next", cursor: page.nextCursor };
      case "error":
        // Some servers name a capability, and have no such list.
        if (page.code === METHOD_NOT_FOUND && this.#cursors.size === 0) return END;
        if (saysSessionUnknown(page.message)) return { kind: "lost" };
        return failed({ reason: "error", code: page.code, message: page.message });
      case "unreadable":
        return failed({ reason: "unreadable", why: page.why });
      default:
        return page satisfies never;
    }
  }

  #listed(cut: Cut | undefined): ListOutcome {
    const items = this.#items.slice(0, MOST_ITEMS);
    const tooMany = items.length < this.#items.length;
    return { kind: "listed", read: { items, leftOut: this.#leftOut, cut: tooMany ? "items" : cut } };
  }
}

/** Servers of the legacy era may say by an empty cursor that there is no further page. To one of the modern era it is a cursor as any. */
function isEnd(nextCursor: string | undefined, era: Era): nextCursor is undefined {
  return nextCursor === undefined || (nextCursor === "" && era === "legacy");
}

export const NO_RESPONSE = "its event stream ends without a response";

function failed(failure: AskFailure): { readonly kind: "failed"; readonly failure: AskFailure } {
  return { kind: "failed", failure };
}

async function refused(answer: Answer, signal: AbortSignal): Promise<PageOutcome> {
  const words = await readWords(answer, signal);
  if (words.kind !== "received") return failed(failureOf(words));
  return readSaid(answer.status, words.value) === "lost" ? { kind: "lost" } : failed(statusFailure(answer));
}

export function statusFailure(answer: Answer): AskFailure {
  const { status } = answer;
  return { reason: "status", status, retryAfter: retryAfter(answer.header("retry-after"), Date.now()) };
}

export function failureOf(none: NoAnswer): AskFailure {
  return none.kind === "aborted" ? { reason: "timeout" } : { reason: "broken", error: none.error };
}
