/** What routers tell each other over a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningCluster, type RunningRedis, startRedis, startRedisCluster } from "../../harness/redis.ts";
import { connectRedis, type RedisSettings } from "../../src/redis/connection.ts";
import { redisSignals } from "../../src/signals/redis.ts";
import type { Signal, Signals } from "../../src/signals/signals.ts";
import { nothingUntaken } from "../support/untaken.ts";
import { TIMEOUT_MS } from "./open.ts";

const PREFIX = "mcpr";
const CHANNEL = `${PREFIX}:signals`;
const CHANGED: Signal = { kind: "changed", key: "é" };
const LISTS: Signal = { kind: "lists", source: "files", list: "tools", digest: "d" };
const JOINED: Signal = { kind: "joined", key: "k", backend: "files" };

// ioredis rejects what nobody waits for, some of it in the next turn.
const owner = nothingUntaken(2);

interface Router {
  readonly signals: Signals;
  readonly heard: readonly Signal[];
  readonly failures: readonly Error[];
}

interface RouterOptions {
  readonly prefix?: string;
  readonly username?: string;
}

/** Does not wait for Redis, as no router does. */
function openRouter(at: RedisSettings["at"], { prefix = PREFIX, username }: RouterOptions = {}): Router {
  const password = username === undefined ? undefined : "password";
  const settings = { at, username, password, database: 0, timeout: TIMEOUT_MS, tls: undefined };
  const connection = connectRedis(settings);
  // Redis is restarted under it.
  connection.on("error", () => undefined);
  owner().defer(() => connection.disconnect());
  const heard: Signal[] = [];
  const failures: Error[] = [];
  const signals = redisSignals({
    connection,
    subscriber: connectRedis(settings),
    prefix,
    onSignal: (signal) => void heard.push(signal),
    onFailure: (error) => void failures.push(error),
  });
  owner().defer(() => signals.close());
  return { signals, heard, failures };
}

/** Tells `signal` until each of `others` has heard a signal like it: whoever is not connected yet misses what is told. */
async function tellUntilHeard(by: Router, signal: Signal, others: readonly Router[]): Promise<void> {
  await expect
    .poll(() => {
      by.signals.tell(signal);
      return others.every(({ heard }) => heard.some((one) => one.kind === signal.kind));
    })
    .toBe(true);
}

/** Three routers that hear each other. What they have heard so far is of the kind "ended". */
async function openThree(at: RedisSettings["at"]): Promise<readonly [Router, Router, Router]> {
  const [one, two, three] = [openRouter(at), openRouter(at), openRouter(at)] as const;
  const ready: Signal = { kind: "ended", key: "ready" };
  await tellUntilHeard(one, ready, [two, three]);
  await tellUntilHeard(two, ready, [one, three]);
  return [one, two, three];
}

const withoutReady = ({ heard }: Router) => heard.filter(({ kind }) => kind !== "ended");
const byKind = (signals: readonly Signal[]) => signals.toSorted((a, b) => a.kind.localeCompare(b.kind));

function describeSignals(servers: () => readonly [RedisSettings["at"], readonly RunningRedis[]]): void {
  test("what a router tells, all others hear once, and it does not", async () => {
    const [one, two, three] = await openThree(servers()[0]);
    for (const signal of [CHANGED, JOINED, LISTS]) one.signals.tell(signal);
    // The nodes of a cluster keep no order among each other.
    for (const router of [two, three])
      await expect.poll(() => byKind(withoutReady(router))).toEqual([CHANGED, JOINED, LISTS]);
    // What comes back to it would have come before what another one tells afterwards.
    two.signals.tell(LISTS);
    await expect.poll(() => withoutReady(one)).toEqual([LISTS]);
  });

  test("a router that has closed its signals hears nothing more", async () => {
    const [at, nodes] = servers();
    const [one, two, three] = await openThree(at);
    await two.signals.close();
    const listeners = async () => {
      const counts = await Promise.all(nodes.map((node) => node.command("PUBSUB", "NUMSUB", CHANNEL)));
      return counts.reduce((sum: number, count) => sum + Number((count as unknown[])[1]), 0); // Name and count.
    };
    await expect.poll(listeners).toBe(2);
    one.signals.tell(CHANGED);
    await expect.poll(() => withoutReady(three)).toEqual([CHANGED]);
    expect(withoutReady(two)).toEqual([]);
  });
}

describe("over one Redis", () => {
  let redis: RunningRedis;
  const at = () => ({ kind: "single", host: "127.0.0.1", port: redis.port }) as const;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  describeSignals(() => [at(), [redis]]);

  test("routers of another prefix hear nothing", async () => {
    const [one, two] = await openThree(at());
    const others = [openRouter(at(), { prefix: "other" }), openRouter(at(), { prefix: "other" })] as const;
    await tellUntilHeard(others[0], LISTS, [others[1]]);
    one.signals.tell(CHANGED);
    await expect.poll(() => withoutReady(two)).toEqual([CHANGED]);
    // Redis sends it to all at once: it would be there before this.
    others[0].signals.tell(JOINED);
    await expect.poll(() => others[1].heard).toContainEqual(JOINED);
    expect(others[1].heard).not.toContainEqual(CHANGED);
    expect(withoutReady(two)).toEqual([CHANGED]);
  });

  test("what is no signal is ignored, and the next one is heard", async () => {
    const [one, two] = await openThree(at());
    for (const junk of ["", "{", '{"from":"x","kind":"changed"}', '{"from":"x","kind":"later","key":"k"}'])
      await redis.command("PUBLISH", CHANNEL, junk);
    one.signals.tell(CHANGED);
    await expect.poll(() => withoutReady(two)).toEqual([CHANGED]);
  });

  test("routers hear each other again after Redis was restarted, each signal once", async () => {
    const [one, two, three] = await openThree(at());
    await redis.restart();
    await tellUntilHeard(one, LISTS, [two, three]);
    await tellUntilHeard(two, LISTS, [one, three]);
    one.signals.tell(CHANGED);
    const changes = ({ heard }: Router) => heard.filter(({ kind }) => kind === "changed");
    for (const router of [two, three]) {
      await expect.poll(() => changes(router)).toEqual([CHANGED]);
      one.signals.tell(JOINED);
      await expect.poll(() => router.heard).toContainEqual(JOINED);
      expect(changes(router)).toEqual([CHANGED]);
    }
  });

  test("what is told while Redis is away is told as a failure, and nothing throws", async () => {
    const away = await startRedis();
    owner().defer(() => away.stop().then(() => undefined));
    const [one] = await openThree({ kind: "single", host: "127.0.0.1", port: away.port });
    await away.kill();
    // What fails from here on is what is told.
    await one.signals.close();
    const before = one.failures.length;
    await expect
      .poll(() => {
        one.signals.tell(CHANGED);
        return one.failures.length;
      })
      .toBeGreaterThan(before);
    for (const failure of one.failures) expect(failure).toBeInstanceOf(Error);
  });
});

describe("with a user of Redis", () => {
  let redis: RunningRedis;
  const at = () => ({ kind: "single", host: "127.0.0.1", port: redis.port }) as const;
  /** It may do all but use channels, and then what the rules say. */
  const addUser = (name: string, ...rules: readonly string[]) =>
    redis.command("ACL", "SETUSER", name, "on", ">password", "~*", "+@all", "resetchannels", ...rules);
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  test("that may not use the channel, each refusal is told, and nothing throws", async () => {
    await addUser("none", "&other:*");
    const { signals, failures, heard } = openRouter(at(), { username: "none" });
    const refused = () => failures.filter(({ message }) => message.includes("NOPERM")).length;
    // It was refused the channel before it told anything.
    await expect.poll(refused).toBe(1);
    signals.tell(CHANGED);
    await expect.poll(refused).toBe(2);
    expect(heard).toEqual([]);
  });

  test("that may use the channel no more, and later does again, routers hear each other again", async () => {
    await addUser("changing", `&${CHANNEL}`);
    const [router, other] = [openRouter(at(), { username: "changing" }), openRouter(at())];
    await tellUntilHeard(other, LISTS, [router]);
    // Redis closes its connections.
    await addUser("changing");
    await expect.poll(() => router.failures.some(({ message }) => message.includes("NOPERM"))).toBe(true);
    await addUser("changing", `&${CHANNEL}`);
    await tellUntilHeard(other, LISTS, [router]);
  });

  test("that may not publish, that is told, and the router hears the others", async () => {
    await addUser("deaf", `&${CHANNEL}`, "-publish");
    const [router, other] = [openRouter(at(), { username: "deaf" }), openRouter(at())];
    await tellUntilHeard(other, LISTS, [router]);
    expect(router.failures).toEqual([]);
    router.signals.tell(CHANGED);
    await expect.poll(() => router.failures.map(({ message }) => message)).toEqual([expect.stringContaining("NOPERM")]);
  });

  test("that may use no channel but this one, routers hear each other, and no failure is told", async () => {
    await addUser("narrow", `&${CHANNEL}`);
    const [router, other] = [openRouter(at(), { username: "narrow" }), openRouter(at())];
    await tellUntilHeard(other, LISTS, [router]);
    await tellUntilHeard(router, LISTS, [other]);
    expect(router.failures).toEqual([]);
  });
});

describe("over a cluster", () => {
  let cluster: RunningCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster(2);
  });
  afterAll(() => cluster?.stop());

  describeSignals(() => {
    const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    return [{ kind: "cluster", nodes }, cluster.nodes];
  });
});
