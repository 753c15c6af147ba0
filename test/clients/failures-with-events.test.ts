/** What becomes of clients when a part of the gateway fails and their server keeps events: rows of the matrix. */
import { fates, matrix, type Row, WELL } from "./matrix.ts";

const routerRestarts: Row = {
  fate: { event: "heard", ...WELL },
  async happen(scene) {
    const [router] = scene.gateway.fleet.routers;
    await router?.end();
    const told = await scene.tell();
    await router?.start();
    const calls = await scene.calls();
    const hears = await scene.hears();
    return fates({ event: scene.event(told), calls, hears });
  },
};

const routerKilled: Row = {
  fate: { call: "answered", ...WELL },
  async happen(scene) {
    const call = await scene.hold();
    const [router] = scene.gateway.fleet.routers;
    await router?.end("SIGKILL");
    await router?.start();
    scene.server.letGo();
    return fates({ call: await call.over(), calls: await scene.calls(), hears: await scene.hears() });
  },
};

const envoyRestarts: Row = {
  fate: { call: "answered", ...WELL },
  async happen(scene) {
    const call = await scene.hold();
    const isShort = await scene.restartEnvoy();
    scene.server.letGo();
    if (!isShort) return undefined;
    return fates({ call: await call.over(), calls: await scene.calls(), hears: await scene.hears() });
  },
};

matrix("where a server keeps events,", {
  server: "keeping",
  rows: {
    "and a lone router restarts, and the server tells of something meanwhile": routerRestarts,
    "and a lone router is killed under a call that the server has": routerKilled,
    "and Envoy restarts under a call that the server has": envoyRestarts,
  },
});
