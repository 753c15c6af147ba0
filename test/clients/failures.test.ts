/** What becomes of clients when a part of the gateway fails, or their server: the rows of the matrix for a server as most are. */
import { setTimeout as sleep } from "node:timers/promises";
import { vi } from "vitest";
import { fates, matrix, nameOf, type Row, type Scene, WELL } from "./matrix.ts";

/** Longer than the router waits for a backend. */
const SERVER_AWAY_MS = 12_000;
/** For as long as this Envoy holds what it would ask a router. */
const ROUTER_AWAY_MS = 2_000;

const serverRestarts: Row = {
  fate: WELL,
  async happen(scene) {
    await scene.server.die();
    await scene.server.revive();
    // At once: the server asks on a stream to which clients are only coming back.
    const calls = await scene.calls("ask");
    return fates({ calls, hears: await scene.hears() });
  },
};

const serverAway: Row = {
  fate: { call: "fails", ...WELL },
  async happen(scene) {
    await scene.server.die();
    const away = sleep(SERVER_AWAY_MS);
    const call = await scene.call("whoami").over();
    await away;
    await scene.server.revive();
    // Before a call: who listens again needs none for it.
    const hears = await scene.hears();
    return fates({ call, calls: await scene.calls(), hears });
  },
};

const envoyRestarts: Row = {
  fate: WELL,
  async happen(scene) {
    if (!(await scene.restartEnvoy())) return undefined;
    const calls = await scene.calls();
    return fates({ calls, hears: await scene.hears() });
  },
};

/** The Python SDK comes back to its stream after one cut, whether that stream had been opened again or not. */
const envoyRestartsTwice: Row = {
  fate: WELL,
  but: { "Python SDK": { hears: "nothing" }, "Python SDK 1.x": { hears: "nothing" } },
  async happen(scene) {
    for (let n = 0; n < 2; n++) {
      await scene.gateway.fleet.restartEnvoy();
      await scene.hears();
    }
    const calls = await scene.calls();
    return fates({ calls, hears: await scene.hears() });
  },
};

const redisAway: Row = {
  fate: { call: "fails", ...WELL },
  async happen(scene) {
    const { redis } = scene.gateway;
    await redis.kill();
    const call = await scene.call("whoami").over();
    await redis.restart();
    await vi.waitUntil(() => hasStore(scene), { timeout: 60_000 });
    return fates({ call, calls: await scene.calls(), hears: await scene.hears() });
  },
};

/** Whether the router has found that Redis is back. */
async function hasStore({ gateway: { fleet } }: Scene): Promise<boolean> {
  const ready = await fetch(`http://127.0.0.1:${fleet.routers[0]?.http}/readyz`);
  return !(await ready.text()).includes("the store is away");
}

const routerAway: Row = {
  fate: { call: "answered", ...WELL },
  async happen(scene) {
    const [router] = scene.gateway.fleet.routers;
    const left = performance.now();
    await router?.end();
    const call = scene.call("whoami");
    await router?.start();
    if (performance.now() - left > ROUTER_AWAY_MS) return undefined;
    return fates({ call: await call.over(), calls: await scene.calls(), hears: await scene.hears() });
  },
};

/** A federated route relays the answers to clients that can be asked. Without events there is nothing to resume. */
const routerKilled: Row = {
  fate: { call: "answered", ...WELL },
  but: {
    [nameOf("TypeScript SDK v2", "federated")]: { call: "waits" },
    [nameOf("TypeScript SDK v1", "federated")]: { call: "waits" },
    [nameOf("Python SDK 1.x", "federated")]: { call: "waits" },
    [nameOf("Python SDK", "federated")]: { call: "fails" },
    [nameOf("Go SDK", "federated")]: { call: "fails" },
  },
  async happen(scene) {
    const call = await scene.hold();
    const [router] = scene.gateway.fleet.routers;
    await router?.end("SIGKILL");
    await router?.start();
    scene.server.letGo();
    const calls = await scene.calls();
    return fates({ calls, hears: await scene.hears(), call: await call.over() });
  },
};

matrix("where a server keeps no events,", {
  server: "plain",
  // Shorter than Redis is away.
  sections: { store: { patience: "1s" } },
  rows: {
    "and it restarts, and asks its client in the call that follows at once": serverRestarts,
    "and it is away for 12 s, and is called meanwhile": serverAway,
    "and Envoy restarts": envoyRestarts,
    "and Envoy restarts twice": envoyRestartsTwice,
    "and Redis is away for longer than store.patience, and the server is called meanwhile": redisAway,
    "and a lone router is killed under a call that the server has": routerKilled,
    "and a lone router restarts within 2 s, and the server is called meanwhile": routerAway,
  },
});
