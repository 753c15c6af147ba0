import { expect, test, vi } from "vitest";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { ANONYMOUS, REAP_GRACE_MS } from "../../src/sessions/store.ts";
import { describeLedger } from "./ledger.ts";
import { openMemory, openMemoryLedger } from "./open.ts";
import { describeStore, LIFESPAN } from "./store.ts";

describeStore("the memory store", async () => ({ ...openMemory(LIFESPAN), grain: 1 }));
describeLedger("the memory ledger", async () => ({ ...openMemoryLedger(), grain: 1 }));

test("the memory store's sweep drops the sessions that nobody reaped, more than one slice of them, and keeps the live ones", async () => {
  vi.useFakeTimers();
  try {
    let now = 0;
    const store = memoryStore({ ...LIFESPAN, now: () => now });
    const session = {
      owner: ANONYMOUS,
      route: "/mcp",
      protocolVersion: undefined,
      initializeParams: "{}",
      bindings: {},
    };
    const create = () => store.create(sessionKey(mintSessionId()), session);
    for (let n = 0; n < 2_500; n++) await create();
    now = LIFESPAN.lifetime + REAP_GRACE_MS;
    await create();
    expect(store.size).toBe(2_501);

    await vi.advanceTimersByTimeAsync(10_010);
    expect(store.size).toBe(1);
    await store.close();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
