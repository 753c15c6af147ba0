import { describe, expect, test } from "vitest";
import { createBudget } from "../../../src/recovery/budget.ts";
import {
  createReplayableRequests,
  type ReplayableRequest,
  type SentMessage,
} from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";

const HEADERS = fields({ ":path": "/public?a=1", authorization: "Bearer ada" });
const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}');
/** Bytes of what is kept of a request. */
const SIZE = BODY.length + HEADERS.size;

function messageOf(body: Uint8Array): SentMessage {
  return { body, labels: { method: "ping", name: undefined }, stateChanges: undefined };
}

function open({ limit = 1_000, budget: total }: { readonly limit?: number; readonly budget: number }) {
  const budget = createBudget(total);
  const requests = createReplayableRequests(budget);
  const key = sessionKey(mintSessionId());
  const keep = ({
    of = key,
    principal = ANONYMOUS,
    message = messageOf(BODY),
  }: {
    readonly of?: typeof key;
    readonly principal?: string;
    readonly message?: SentMessage | "none";
  } = {}) =>
    requests.keep(
      {
        route: ROUTE,
        query: "?a=1",
        headers: HEADERS,
        principal: { digest: principal },
        id: "7",
        policy: { limits: { ...POLICY.limits, replayBody: limit } },
      },
      {
        id: "client-id",
        key: of,
        binding: { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 },
        listening: undefined,
      },
      message === "none" ? undefined : message,
    );
  const another = (principal = ANONYMOUS) => keep({ of: sessionKey(mintSessionId()), principal });
  /** Whether the budget has given nothing out. */
  const isWhole = () => {
    const holder = { key, principal: ANONYMOUS };
    if (budget.take(holder, total) !== undefined) return false;
    budget.give(holder, total);
    return true;
  };
  return { keep, another, isWhole };
}

function mustKeep(kept: ReturnType<ReturnType<typeof open>["keep"]>): ReplayableRequest {
  if (kept.kind !== "replayable") throw new Error(`the request was not kept: ${kept.reason}`);
  return kept;
}

const not = (reason: string) => ({ kind: "not-replayable", reason });

describe("a request is kept", () => {
  test("up to the limit of one body, and no further", () => {
    const { keep, isWhole } = open({ limit: BODY.length, budget: 100_000 });
    expect(keep({ message: messageOf(Buffer.from(`${BODY} `)) })).toEqual(not("too-large"));
    expect(isWhole()).toBe(true);
    expect(mustKeep(keep()).message).toMatchObject({ body: BODY });
  });

  test("while the budget lasts, for bodies and headers, and one that is forgotten gives back", () => {
    const { another, isWhole } = open({ budget: 3 * SIZE - 1 });
    const first = mustKeep(another());
    const second = mustKeep(another());
    expect(another()).toEqual(not("budget"));
    first.forget();
    const third = mustKeep(another());
    for (const kept of [second, third, first]) kept.forget();
    expect(isWhole()).toBe(true);
  });

  test("while its session and its principal have not used up their shares of the budget", () => {
    const { keep, another, isWhole } = open({ budget: 32 * SIZE });
    const kept = [mustKeep(keep()), mustKeep(keep())];
    expect(keep()).toEqual(not("session-share"));
    for (let n = 0; n < 8; n++) kept.push(mustKeep(another("ada")));
    expect(another("ada")).toEqual(not("principal-share"));
    for (const one of kept) one.forget();
    expect(isWhole()).toBe(true);
  });

  test("by its headers alone, where it is a GET", () => {
    const { keep } = open({ budget: HEADERS.size });
    expect(mustKeep(keep({ message: "none" })).message).toBeUndefined();
    expect(keep({ message: "none" })).toEqual(not("budget"));
  });

  test("until it is forgotten, which gives its bytes back once", () => {
    const { keep, isWhole } = open({ budget: SIZE });
    const kept = mustKeep(keep());
    kept.forget();
    expect(kept.message).toBeUndefined();
    expect(isWhole()).toBe(true);
    kept.forget();
    expect(isWhole()).toBe(true);
    mustKeep(keep());
    expect(keep()).toEqual(not("budget"));
  });
});
