/** The load on one set-up: sessions, connections, and a check of every answer. */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type ClientSession, callTool, openSession } from "./client.ts";
import type { FullTurn, LoadJob, LoadTarget, PacedTurn } from "./load-job.ts";
import { cpuMicros, mainThreadMicros } from "./process-stats.ts";
import { clientCommands } from "./redis-commands.ts";
import { percentile } from "./statistics.ts";

/** How long a processor may take, in ms, to let go of the last streams: that is part of what a request costs. */
const SETTLE = 5;

export class Target {
  readonly #target: LoadTarget;
  readonly #atOnce: number;
  readonly #agent: Agent;
  readonly #sessions: ClientSession[] = [];
  answers = 0;
  wrong = 0;
  firstWrong: string | undefined;

  constructor(target: LoadTarget, { atOnce }: Pick<LoadJob, "atOnce">) {
    this.#target = target;
    this.#atOnce = atOnce;
    this.#agent = new Agent({ keepAlive: true, maxSockets: atOnce, maxFreeSockets: atOnce });
  }

  async openSessions(count: number): Promise<void> {
    const { port, clientPins } = this.#target;
    for (let n = 0; n < count; n++)
      this.#sessions.push(await openSession(this.#agent, port, `client-${n}`, clientPins));
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Closed loop: `atOnce` requests are always under way. */
  async callAtOnce(count: number): Promise<void> {
    let left = count;
    const worker = async () => {
      while (left-- > 0) await this.#call();
    };
    await Promise.all(Array.from({ length: this.#atOnce }, worker));
  }

  /** A turn at full load, with what it cost. */
  async fullTurn(requests: number): Promise<FullTurn> {
    const { envoyPid, processorPid, redis } = this.#target;
    const pids = [envoyPid, processorPid, redis?.pid];
    const cpu = () => pids.map((pid) => (pid === undefined ? undefined : cpuMicros(pid)));
    const before = cpu();
    const mainBefore = mainThreadMicros(envoyPid);
    const start = performance.now();
    await this.callAtOnce(requests);
    const seconds = (performance.now() - start) / 1_000;
    await sleep(SETTLE);
    const [envoyCpu = Number.NaN, processorCpu, redisCpu] = cpu().map((after, n) =>
      after === undefined ? undefined : (after - (before[n] ?? 0)) / requests,
    );
    const envoyMainCpu = (mainThreadMicros(envoyPid) - mainBefore) / requests;
    return { envoyCpu, envoyMainCpu, processorCpu, redisCpu, perSecond: requests / seconds };
  }

  /** Commands that a request costs Redis, if the target has one. */
  async countCommands(requests: number): Promise<number | undefined> {
    const { redis } = this.#target;
    if (!redis) return undefined;
    // A session that nobody has used for 3 s is recorded as in use by its next request, which costs two commands more
    // (core/parking.ts): that is not what a request costs.
    await this.callAtOnce(2 * this.#sessions.length);
    return (await clientCommands(redis.url, () => this.callAtOnce(requests))) / requests;
  }

  async pacedTurn(requests: number, perSecond: number): Promise<PacedTurn> {
    const latencies = await this.pacedCalls(perSecond, (n) => n < requests);
    return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
  }

  /**
   * Latencies, in ms, of calls at a fixed pace for as long as `goesOn` says so, given how many were sent. Open loop: a slow
   * answer does not delay the next request, or it would hide itself. Latency counts from the moment of sending: what the
   * timer is late by is this process's doing.
   */
  async pacedCalls(perSecond: number, goesOn: (sent: number) => boolean): Promise<number[]> {
    const latencies: number[] = [];
    const begin = performance.now();
    const underway: Promise<void>[] = [];
    for (let n = 0; goesOn(n); n++) {
      const wait = begin + (n * 1_000) / perSecond - performance.now();
      if (wait > 0) await sleep(wait);
      const sent = performance.now();
      underway.push(this.#call().then(() => void latencies.push(performance.now() - sent)));
    }
    await Promise.all(underway);
    return latencies;
  }

  async #call(): Promise<void> {
    const id = ++this.answers;
    const session = this.#sessions[id % this.#sessions.length];
    if (!session) throw new Error("no sessions");
    const flaw = await callTool(this.#agent, this.#target.port, session, id, this.#target.tool);
    if (flaw === undefined) return;
    this.wrong++;
    this.firstWrong ??= flaw;
  }
}
