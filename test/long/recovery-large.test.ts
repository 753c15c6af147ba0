/** Recovered answers that are large, to clients that are slow: Envoy holds what a client does not take, so there is a cap. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer as consume } from "node:stream/consumers";
import { finished } from "node:stream/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { MCP_HEADERS, openResponse, openSession } from "../support/http.ts";
import type { Script } from "../support/scripted-server.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";

const PATH = "/one/mcp";
const MIB = 1024 * 1024;
/** `limits.recoveredAnswer` by default. */
const CAP = 16 * MIB;
/**
 * What a process may grow beside what it may hold of an answer. Seen in all: Node 35 MiB, with its garbage; Envoy 7, and 46
 * where it had no cap.
 */
const SLACK = { router: 32 * MIB, envoy: 16 * MIB } as const;

let backend: SessionServer;
/** One router in a process of its own, whose memory is then its own. */
let fleet: Fleet;

beforeAll(async () => {
  backend = await startSessionServer();
  fleet = await startFleet(1, {
    log: { level: "fatal" },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
});
afterAll(async () => {
  await fleet?.stop();
  await backend?.close();
});
beforeEach(() => backend.reset());

/** Answers so many bytes, as fast as they are taken. */
function long(contentType: string, bytes: number): Script {
  return ({ response }) => {
    response.writeHead(200, { "content-type": contentType });
    Readable.from(pieces(bytes)).pipe(response);
  };
}

function* pieces(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(64 * 1024, "0123456789abcdef");
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, left);
}

/** Sends a call whose session is lost, and gives the head of the answer. */
async function callAfterLoss(): Promise<IncomingMessage> {
  const session = await openSession(fleet.port, PATH);
  backend.forget();
  const headers = { ...MCP_HEADERS, "mcp-session-id": session };
  const response = await openResponse({
    port: fleet.port,
    method: "POST",
    path: PATH,
    headers,
    body: JSON.stringify(runMessage(1)),
  });
  expect(response.statusCode).toBe(200);
  return response;
}

type Process = keyof typeof SLACK;

function pidOf(which: Process): number {
  return (which === "router" ? fleet.routers[0]?.child.pid : fleet.envoy.pid) ?? 0;
}

/** Resident bytes: now, or at most since `beginPeak`. Linux tells it (proc_pid_status(5)). */
function resident(which: Process, field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pidOf(which)}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}

/** Forgets what was held before (proc_pid_clear_refs(5)), and gives how much a process has come to hold at most since. */
function beginPeak(which: Process): () => number {
  writeFileSync(`/proc/${pidOf(which)}/clear_refs`, "5");
  const before = resident(which, "VmRSS");
  return () => resident(which, "VmHWM") - before;
}

describe.each(["application/json", "text/event-stream"])("a recovered answer in %s", (contentType) => {
  test("of 900 KiB reaches a slow client whole", async () => {
    const bytes = 900 * 1024;
    backend.result(long(contentType, bytes));
    const response = await callAfterLoss();
    const wanted = createHash("sha256");
    for (const piece of pieces(bytes)) wanted.update(piece);
    const got = createHash("sha256");
    for await (const piece of response) {
      got.update(piece);
      // As slow as a client that parses each piece: there is nothing to wait for.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(got.digest("hex")).toBe(wanted.digest("hex"));
  });

  test.skipIf(process.platform !== "linux").each(["stalls", "is slow"])(
    "of 60 MiB to a client that %s is cut off at the cap, and holds no more memory than that",
    async (how) => {
      // Not the first of its size: what Node's heap grows to once is no part of it.
      backend.result(long(contentType, CAP));
      await consume(await callAfterLoss());
      backend.reset();
      const grownRouter = beginPeak("router");
      const grownEnvoy = beginPeak("envoy");

      backend.result(long(contentType, 60 * MIB));
      const response = await callAfterLoss();
      let taken = 0;
      const take = () => {
        taken += response.read()?.length ?? 0;
      };
      const reading = how === "is slow" ? setInterval(take, 10) : undefined;
      await expect.poll(() => backend.cut).toEqual(["tools/call"]);
      clearInterval(reading);
      response.on("data", (piece) => {
        taken += piece.length;
      });
      await expect(finished(response)).rejects.toThrow("aborted");
      expect(taken).toBeLessThanOrEqual(CAP);
      expect(grownRouter()).toBeLessThan(CAP + SLACK.router);
      expect(grownEnvoy()).toBeLessThan(CAP + SLACK.envoy);
    },
  );
});

describe("a first answer, 404, whose body is long, while another one is streamed in its place", () => {
  /** Bytes of it that were taken of the backend. */
  let pushed: number;
  let goOn: () => void;

  /** Answers 404 with so many bytes, as fast as they are taken; to the call that is sent again an event, and one when told. */
  function answers(bytes: number): void {
    pushed = 0;
    backend.unknown(({ response }) => {
      response.writeHead(404, { "content-type": "application/octet-stream" });
      const counted = function* () {
        for (const piece of pieces(bytes)) {
          pushed += piece.length;
          yield piece;
        }
      };
      Readable.from(counted()).pipe(response);
    });
    backend.on("ping", { status: 404 });
    backend.result(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      goOn = () => response.end("data: 2\n\n");
    });
  }

  const active = (cluster: string) => fleet.envoy.stat(`cluster.${cluster}.upstream_rq_active`);

  /** Until more of it was taken than is read over at once. */
  const isLong = () => expect.poll(() => pushed).toBeGreaterThan(2 * MIB);

  test("without an end is taken slowly, beside what Envoy and sockets hold", async () => {
    answers(Number.POSITIVE_INFINITY);
    const response = await callAfterLoss();
    const body = consume(response);
    // Time for ten times as much, on a machine that does little else: what is slow is never too much.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(pushed).toBeLessThan(128 * MIB);
    goOn();
    expect((await body).toString()).toBe("data: 1\n\ndata: 2\n\n");
    for (const cluster of ["one", "mcp_router"]) await expect.poll(() => active(cluster)).toBe(0);
  });

  test("without an end leaves nothing behind where the client leaves", async () => {
    answers(Number.POSITIVE_INFINITY);
    const response = await callAfterLoss();
    await isLong();
    response.destroy();
    await expect.poll(() => backend.cut.filter((method) => method !== "DELETE")).toHaveLength(2);
    for (const cluster of ["one", "mcp_router"]) await expect.poll(() => active(cluster)).toBe(0);
  });

  test("with an end far beyond that changes nothing of the answer", async () => {
    answers(32 * MIB);
    const body = consume(await callAfterLoss());
    await isLong();
    goOn();
    expect((await body).toString()).toBe("data: 1\n\ndata: 2\n\n");
    for (const cluster of ["one", "mcp_router"]) await expect.poll(() => active(cluster)).toBe(0);
  });
});
