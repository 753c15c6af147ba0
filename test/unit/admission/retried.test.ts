import { expect, test } from "vitest";
import { type Lease, NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { retriedReleases } from "../../../src/admission/retried.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { UNAVAILABLE } from "../../support/unavailable.ts";

/** A ledger that can go away for releases. */
function open() {
  const memory = memoryLedger();
  let away = false;
  const ledger = retriedReleases({
    ...memory,
    release: async (...args) => (away ? UNAVAILABLE : memory.release(...args)),
  });
  const lease: Lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
  return { memory, ledger, lease, goAway: (yes: boolean) => (away = yes) };
}

test("a release that could not be done is done by the next sweep", async () => {
  const { memory, ledger, lease, goAway } = open();
  await ledger.hold(lease, 1_000, NO_CAPS, "waiting");
  goAway(true);
  expect(await ledger.release(lease)).toEqual(UNAVAILABLE);
  expect(await ledger.expired(10)).toEqual(UNAVAILABLE);
  expect(memory.size.live).toBe(1);
  goAway(false);
  expect(await ledger.expired(10)).toEqual({ kind: "expired", leases: [] });
  expect(memory.size.live).toBe(0);
});

test("one that was done is not done again, and one that was only for what ran out is not either", async () => {
  const { memory, ledger, lease, goAway } = open();
  await ledger.hold(lease, 1_000, NO_CAPS, "waiting");
  expect(await ledger.release(lease)).toEqual({ kind: "released" });
  goAway(true);
  await ledger.release(lease, { ifExpired: true });
  goAway(false);
  await ledger.hold(lease, 1_000, NO_CAPS, "waiting");
  await ledger.expired(10);
  expect(memory.size.live).toBe(1);
});
