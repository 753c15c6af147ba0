import { expect, test } from "vitest";
import { SYSTEM_CLOCK } from "../../../src/federation/clock.ts";
import { OwnSession } from "../../../src/federation/own-session.ts";
import { BACKEND } from "../core/policy.ts";
import { createServer, LISTS, scriptedEgress, settle } from "./backends.ts";

function open(server: ReturnType<typeof createServer>) {
  const { egress, calls } = scriptedEgress(server.script);
  const session = new OwnSession(
    { egress, clock: SYSTEM_CLOCK, version: "1" },
    { backend: BACKEND, asks: "lists", awaitsEra: false, onChanged: () => undefined, onEra: () => undefined },
  );
  const abort = new AbortController();
  return { calls, abort, session, ask: () => session.ask({ ...LISTS, depth: 20 }, abort.signal) };
}

test("a session whose beginning ends with its time is ended, and kept by nobody", async () => {
  const server = createServer({
    answers: {
      "notifications/initialized": () => {
        abort.abort();
        return { status: 202 };
      },
    },
  });
  const { abort, ask, session, calls } = open(server);
  expect(await ask()).toEqual({ kind: "failed", failure: { reason: "timeout" } });
  expect(server.sessions.size).toBe(0);
  const asked = calls.length;
  await session.end();
  expect(calls).toHaveLength(asked);
});

test("lists that are late leave the session as it is", async () => {
  const server = createServer({
    answers: {
      "tools/list": () => {
        abort.abort();
        return undefined;
      },
    },
  });
  const { abort, ask, session } = open(server);
  expect(await ask()).toEqual({ kind: "failed", failure: { reason: "timeout" } });
  expect(server.sessions.size).toBe(1);
  await session.end();
  await settle();
  expect(server.sessions.size).toBe(0);
});
