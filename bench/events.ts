/**
 * What the events of an answer cost where the router rewrites them: an event in the processor alone, a call beside one whose events
 * pass as they are, and how long the first event is on the way.
 */
import { Agent } from "node:http";
import { Answers } from "../src/core/federation/answers.ts";
import { createRelay } from "../src/core/federation/relay.ts";
import { firstEventDelay, openSession } from "./client.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";
import { putUnderLoad } from "./put-under-load.ts";
import { type Setup, startBackend, startFederated, startRouter } from "./setups.ts";
import { type Interval, median, percentile, ratioOfMeans } from "./statistics.ts";
import { CLOCK_TOOL, eventOf, STREAM_TOOL } from "./wire.ts";

/** Bytes of the two events that have a target. */
export const EVENT_SIZES = { small: 300, large: 16 * 1024 } as const;

/** Batches that an event is timed in: the median stands for all, since the machine does something else in some. */
const BATCHES = 60;
const EVENTS = { small: 4_000, large: 600 } as const;
const FIRST_EVENTS = { warmUp: 100, turns: 20, requests: 20 } as const;

/** µs of processor CPU for an event that holds the result of a call, of either size. */
export function measureEvents(): Readonly<Record<keyof typeof EVENT_SIZES, number>> {
  return { small: cpuOfEvent(EVENT_SIZES.small, EVENTS.small), large: cpuOfEvent(EVENT_SIZES.large, EVENTS.large) };
}

function cpuOfEvent(size: number, count: number): number {
  const relay = createRelay({
    owner: { place: 1, tag: 0, generation: 1 },
    deepest: 100,
    answers: new Answers(["7"]),
  });
  const head = '{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"';
  const tail = '"}]}}';
  const text = "What a tool says. ".repeat(size).slice(0, size - eventOf(head + tail).length);
  const event = Buffer.from(eventOf(head + text + tail));
  const times = Array.from({ length: BATCHES }, () => {
    const before = process.cpuUsage();
    for (let n = 0; n < count; n++) relay.write(event);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / count;
  });
  // In the first ones V8 still compiles.
  return median(times.slice(BATCHES / 3));
}

export interface StreamedCalls {
  /** Processor CPU of a call whose events are rewritten, as a multiple of one whose events are not. */
  readonly ratio: Interval;
  /** ms from the backend's sending of the first event to its coming, at the median. */
  readonly firstEvent: { readonly rewritten: number; readonly asIs: number };
  readonly wrong: number;
}

export async function measureStreams(
  owner: AsyncDisposableStack,
  effort: Omit<LoadJob, "targets">,
): Promise<StreamedCalls> {
  const backend = await startBackend(2);
  owner.defer(() => backend.stop());
  const one = { ...backend, endpoints: backend.endpoints.slice(0, 1) };
  const asIs = await startRouter(one, { name: "events as they are" });
  owner.defer(() => asIs.stop());
  const rewritten = await startFederated(backend, { name: "events rewritten" });
  owner.defer(() => rewritten.stop());
  const named = (setup: Setup, tool: string) => ({ ...setup, tool: toolAt(setup, tool) });
  const [plain, changed] = await putUnderLoad([named(asIs, STREAM_TOOL), named(rewritten, STREAM_TOOL)], effort);
  if (!plain || !changed) throw new Error("the load has no result");
  for (const { firstWrong } of [plain, changed]) if (firstWrong !== undefined) console.log(`  ${firstWrong}`);
  const firstEvent = await measureFirstEvents(asIs, rewritten);
  await Promise.all([asIs.stop(), rewritten.stop()]);
  const cpu = ({ full }: LoadResult) => full.map(({ processorCpu = Number.NaN }) => processorCpu);
  return { ratio: ratioOfMeans(cpu(changed), cpu(plain)), firstEvent, wrong: plain.wrong + changed.wrong };
}

/** A tool of the first backend, as clients of a set-up see it. */
function toolAt({ tool }: Setup, name: string): string {
  return tool === undefined ? name : tool.replace(/(?<=__).*$/, name);
}

/** One call at a time, in turns. */
async function measureFirstEvents(asIs: Setup, rewritten: Setup): Promise<StreamedCalls["firstEvent"]> {
  const agent = new Agent({ keepAlive: true });
  const sideOf = async (setup: Setup) => {
    const session = await openSession(agent, setup.port, "client", false);
    const delays: number[] = [];
    const call = async (times: number) => {
      for (let n = 0; n < times; n++)
        delays.push(await firstEventDelay(agent, setup.port, session, delays.length + 1, toolAt(setup, CLOCK_TOOL)));
    };
    await call(FIRST_EVENTS.warmUp);
    return { call, p50: () => percentile(delays.slice(FIRST_EVENTS.warmUp), 0.5) };
  };
  const sides = [await sideOf(asIs), await sideOf(rewritten)] as const;
  for (let turn = 0; turn < FIRST_EVENTS.turns; turn++)
    for (const side of sides) await side.call(FIRST_EVENTS.requests);
  agent.destroy();
  return { asIs: sides[0].p50(), rewritten: sides[1].p50() };
}
