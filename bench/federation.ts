/**
 * What several servers behind one URL cost: a call beside the same call on a transparent route, in turns of one run; an answer whose
 * events are rewritten (events.ts); the list of ten servers with a hundred tools of 1 KB each; and an open stream (open-streams.ts). A
 * process of its own: `node bench/federation.ts [--quick]`. Ends with 1 when an answer was wrong or a target is missed.
 */
import { Agent } from "node:http";
import { parseArgs } from "node:util";
import { runOwning } from "../harness/owner.ts";
import { ALL_NAMES } from "../src/core/federation/filter.ts";
import { readListPage } from "../src/core/federation/list-page.ts";
import { listingOf } from "../src/core/federation/listing.ts";
import { mergeLists } from "../src/core/federation/merge.ts";
import { listAnswer } from "../src/core/federation/page.ts";
import { listTools, openSession } from "./client.ts";
import { EVENT_SIZES, measureEvents, measureStreams } from "./events.ts";
import { measureOpenStreams } from "./open-streams.ts";
import { putUnderLoad } from "./put-under-load.ts";
import { type Setup, startBackend, startFederated, startRouter } from "./setups.ts";
import { type Interval, median, percentile, ratioOfMeans } from "./statistics.ts";
import { TOOLS, toolsAnswer } from "./wire.ts";

const TARGETS = {
  /** Processor CPU of a call, as a multiple of that on a transparent route. */
  call: 1.15,
  /** µs of processor CPU for an event of an answer that is rewritten. */
  event: 10,
  /** Processor CPU of a call whose answer is an event stream that is rewritten, as a multiple of one that is not. */
  streamed: 2,
  /** ms from the backend's sending of the first event of such an answer to the client, at the median. */
  firstEvent: 5,
  /** ms of the processor for the answer of one list of all servers, at the median. */
  list: 5,
  /** Bytes of memory of the merged lists, as a multiple of the backends' own bytes. */
  memory: 1.5,
  /** KiB of the router's resident memory for an open GET stream that waits. */
  stream: 8,
} as const;

const KIB = 1024;
const SERVERS = 10;
const LABEL_WIDTH = 50;
const LOAD = { sessions: 32, atOnce: 64, counted: 0, paced: { turns: 0, requests: 0, perSecond: 1 } } as const;
const FULL = { warmUp: 4_000, full: { turns: 60, requests: 1_000 } } as const;
const QUICK = { warmUp: 3_000, full: { turns: 20, requests: 750 } } as const;
/** Copies that are kept at once: what V8 does beside would hide one of them. */
const COPIES = 50;
const LISTS = { warmUp: 20, requests: 300 } as const;

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const effort = { ...LOAD, ...(options.quick ? QUICK : FULL) };

await runOwning(async (owner) => {
  const calls = await measureCalls(owner);
  const streams = await measureStreams(owner, effort);
  const events = measureEvents();
  const memory = measureMemory();
  const open = await measureOpenStreams(owner);
  const inProcess = measureAnswers();
  const lists = await measureLists(owner);
  const { small, large } = EVENT_SIZES;
  const met = {
    call: calls.ratio.value <= TARGETS.call,
    small: events.small <= TARGETS.event,
    large: events.large <= TARGETS.event,
    streamed: streams.ratio.value <= TARGETS.streamed,
    firstEvent: streams.firstEvent.rewritten <= TARGETS.firstEvent,
    list: inProcess <= TARGETS.list,
    memory: memory <= TARGETS.memory,
    stream: open.first <= TARGETS.stream * KIB,
  };
  const wrong = calls.wrong + streams.wrong;
  console.log(
    [
      "",
      `several servers behind one URL (${effort.full.turns} turns of ${effort.full.requests} calls, ${LOAD.atOnce} at once)`,
      row("processor CPU of a call, federated ÷ transparent", ratioText(calls.ratio), met.call, TARGETS.call),
      row("the same, events rewritten ÷ as they are", ratioText(streams.ratio), met.streamed, TARGETS.streamed),
      row(`processor CPU of an event of ${small} bytes, µs`, events.small.toFixed(1), met.small, TARGETS.event),
      row(`processor CPU of an event of ${large} bytes, µs`, events.large.toFixed(1), met.large, TARGETS.event),
      row("first event, p50 ms", streams.firstEvent.rewritten.toFixed(2), met.firstEvent, TARGETS.firstEvent),
      row("first event as it is, p50 ms", streams.firstEvent.asIs.toFixed(2)),
      row("wrong answers", String(wrong)),
      `tools/list of ${SERVERS} servers with ${TOOLS} tools of 1 KB`,
      row("made in the processor, p50 ms", inProcess.toFixed(2), met.list, TARGETS.list),
      row("through Envoy, one at a time, p50 ms", lists.alone.toFixed(1)),
      row(`through Envoy, ${LOAD.atOnce} at once, p50 ms`, lists.atOnce.toFixed(1)),
      row("bytes of a whole list, pages", `${lists.bytes}, ${lists.pages}`),
      row("memory of the lists ÷ their bytes", memory.toFixed(2), met.memory, TARGETS.memory),
      "an open GET stream, waiting, KiB of the router's resident memory but for V8's young generation",
      row("each of 10,000", (open.first / KIB).toFixed(1), met.stream, TARGETS.stream),
      row("each of 30,000 more", (open.further / KIB).toFixed(1)),
      row("of that, on V8's heap", (open.heap / KIB).toFixed(1)),
    ].join("\n"),
  );
  return wrong === 0 && Object.values(met).every((each) => each);
});

function row(label: string, figure: string, met?: boolean, target?: number): string {
  const verdict = met === undefined ? "" : `  target ≤ ${target}: ${met ? "met" : "MISSED"}`;
  return `  ${label.padEnd(LABEL_WIDTH)}${figure}${verdict}`;
}

function ratioText({ value, low, high }: Interval): string {
  return `${value.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

async function measureCalls(owner: AsyncDisposableStack) {
  const backend = await startBackend(2);
  owner.defer(() => backend.stop());
  const transparent = await startRouter(
    { ...backend, endpoints: backend.endpoints.slice(0, 1) },
    { name: "transparent" },
  );
  owner.defer(() => transparent.stop());
  const federated = await startFederated(backend);
  owner.defer(() => federated.stop());
  const [one, several] = await putUnderLoad([transparent, federated], effort);
  if (!one || !several) throw new Error("the load has no result");
  const cpu = ({ full }: typeof one) => full.map(({ processorCpu = Number.NaN }) => processorCpu);
  await Promise.all([transparent.stop(), federated.stop()]);
  for (const { firstWrong } of [one, several]) if (firstWrong !== undefined) console.log(`  ${firstWrong}`);
  return { ratio: ratioOfMeans(cpu(several), cpu(one)), wrong: one.wrong + several.wrong };
}

async function measureLists(owner: AsyncDisposableStack) {
  const backend = await startBackend(SERVERS);
  owner.defer(() => backend.stop());
  const setup = await startFederated(backend);
  owner.defer(() => setup.stop());
  const agent = new Agent({ keepAlive: true, maxSockets: LOAD.atOnce });
  const session = await openSession(agent, setup.port, "client", false);
  const whole = await walk(agent, setup, session);
  const timed = async (atOnce: number, requests: number) => {
    const latencies: number[] = [];
    let left = requests;
    const worker = async () => {
      while (left-- > 0) {
        const sent = performance.now();
        await listTools(agent, setup.port, session);
        latencies.push(performance.now() - sent);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return percentile(latencies, 0.5);
  };
  await timed(1, LISTS.warmUp);
  const alone = await timed(1, LISTS.requests);
  const atOnce = await timed(LOAD.atOnce, 4 * LISTS.requests);
  agent.destroy();
  return { alone, atOnce, ...whole };
}

async function walk(agent: Agent, { port }: Setup, session: Awaited<ReturnType<typeof openSession>>) {
  let bytes = 0;
  let pages = 0;
  let cursor: string | undefined;
  do {
    const page = await listTools(agent, port, session, cursor);
    bytes += page.bytes;
    pages++;
    cursor = page.next;
  } while (cursor !== undefined);
  return { bytes, pages };
}

function mergedLists() {
  const text = Buffer.from(toolsAnswer(1));
  const listings = Array.from({ length: SERVERS }, (_, n) => {
    const page = readListPage(text, "tools", 100);
    if (page.kind !== "page") throw new Error(page.kind);
    return listingOf("tools", `backend-${n}__`, page.items, page.leftOut);
  });
  return { merged: mergeLists("tools", listings, ALL_NAMES), bytes: SERVERS * text.length };
}

/** ms of the processor for one answer, at the median, with all items on one page. */
function measureAnswers(): number {
  const { merged } = mergedLists();
  const times: number[] = [];
  for (let n = 0; n < LISTS.requests; n++) {
    const begun = performance.now();
    const answer = listAnswer("1", merged, undefined, Number.POSITIVE_INFINITY);
    times.push(performance.now() - begun);
    if (answer === "bad-cursor") throw new Error(answer);
  }
  return median(times);
}

/** Heap and buffers of the lists of all servers, as a multiple of the bytes that the servers sent. */
function measureMemory(): number {
  const used = () => {
    global.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const kept = Array.from({ length: COPIES }, mergedLists);
  const after = used();
  const bytes = kept.reduce((sum, each) => sum + each.bytes, 0);
  if (kept.some(({ merged }) => merged.items.length !== SERVERS * TOOLS)) throw new Error("items are missing");
  return (after - before) / bytes;
}
