/** What becomes of clients whose GET stream is silent for long, or is cut by `timeouts.listen`. */
import { setTimeout as sleep } from "node:timers/promises";
import { fates, matrix, type Row, WELL } from "./matrix.ts";

/** Longer than proxies, balancers and SDKs let a silent connection be: 60 s. */
const SILENCE_MS = 75_000;
const LISTEN_MS = 5_000;

const silence: Row = {
  fate: WELL,
  async happen(scene) {
    await sleep(SILENCE_MS);
    // Before a call, which would open what is closed.
    const hears = await scene.hears();
    return fates({ calls: await scene.calls(), hears });
  },
};

/** As where Envoy restarts twice. */
const cutTwice: Row = {
  fate: WELL,
  but: { "Python SDK": { hears: "nothing" }, "Python SDK 1.x": { hears: "nothing" } },
  async happen(scene) {
    // With what each takes to come back.
    await sleep(2.6 * LISTEN_MS);
    const hears = await scene.hears();
    return fates({ calls: await scene.calls(), hears });
  },
};

matrix("where nothing fails,", { server: "plain", rows: { "and a stream is silent for 75 s": silence } });

matrix("where timeouts.listen is 5 s,", {
  server: "plain",
  sections: { timeouts: { listen: `${LISTEN_MS}ms` } },
  rows: { "and a stream has been cut twice": cutTwice },
});
