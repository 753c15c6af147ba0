/** limits.service: two Envoys, each with a router of its own, count together in the real service over a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { readConfig } from "../../src/config/read.ts";
import { rateLimitServiceFor } from "../../src/envoy-config/rate-limit-service.ts";
import { directoryOfTests } from "../support/directory.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { rateLimitServerPath, startRateLimitService } from "../support/rate-limit-service.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";
const server = rateLimitServerPath();

describe.skipIf(server === undefined)("where a service counts", () => {
  const directory = directoryOfTests("rate-limit-service");
  const owner = new AsyncDisposableStack();
  let one: TestServer;
  let stacks: readonly Stack[];
  let redis: RunningRedis;

  beforeAll(async () => {
    const port = await freePort();
    one = await startMcpServer("one", { json: true });
    owner.defer(() => one.close());
    redis = await startRedis();
    owner.defer(async () => void (await redis.stop()));
    const start = () =>
      startStack({
        backends: { one: [one.endpoint] },
        routes: [{ path: PATH, backends: ["one"] }],
        config: {
          identity: { kind: "header", name: "x-user", required: false },
          limits: {
            calls: [
              { tools: ["who*"], per: "principal", rate: "3/d" },
              { tools: ["echo"], rate: "4/d" },
            ],
            // On a busy machine 20 ms may pass by themselves.
            service: { address: `127.0.0.1:${port}`, timeout: "5s" },
          },
        },
      });
    stacks = [await start(), await start()];
    for (const stack of stacks) owner.defer(() => stack.stop());
    const made = rateLimitServiceFor((await readConfig(stacks[0]?.configFile ?? "")).config);
    if (!made.ok || server === undefined) throw new Error("no service");
    const service = await startRateLimitService({
      server,
      port,
      redisPort: redis.port,
      directory,
      document: made.document,
    });
    owner.defer(async () => void (await service.stop()));
  });
  afterAll(() => owner.disposeAsync());

  const isRefused = (answer: Answer) => answer.body.includes("Rate limit reached");

  async function ask(stack: Stack | undefined, body: object, user: string): Promise<Answer> {
    if (!stack) throw new Error("no stack");
    const headers = { "x-user": user };
    const session = await openSession(stack.port, PATH, headers);
    return post(stack.port, PATH, body, { ...headers, "mcp-session-id": session });
  }

  test("two Envoys count a principal's calls together, and others' apart", async () => {
    const [first, second] = stacks;
    const whoami = (stack: Stack | undefined, user: string) => ask(stack, callMessage("whoami", {}, "x"), user);
    const answers = [];
    for (const stack of [first, second, first, second, first]) answers.push(await whoami(stack, "ada"));
    expect(answers.map(isRefused)).toEqual([false, false, false, true, true]);
    expect(isRefused(await whoami(second, "bob"))).toBe(false);
    const refused = answers[3] as Answer;
    expect(messageOf(refused)).toMatchObject({ id: "x", error: { code: -32000 } });
    // The service counts by days of UTC.
    const seconds = Number(refused.headers["retry-after"]);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(86_400);
  });

  test("and each call of a batch", async () => {
    const [first, second] = stacks;
    const echo = (id: number) => callMessage("echo", { text: "x" }, id);
    expect(isRefused(await ask(first, [echo(1), echo(2), echo(3)], "ada"))).toBe(false);
    expect(isRefused(await ask(second, [echo(4), echo(5)], "bob"))).toBe(true);
    // What was refused has counted.
    expect(isRefused(await ask(first, echo(6), "ada"))).toBe(true);
  });

  test("and Redis has the counts by a digest of the principal, and not by its name", async () => {
    await ask(stacks[0], callMessage("whoami"), "carol");
    const keys = (await redis.command("KEYS", "mcp_*who-principal-day*")) as readonly string[];
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(key).toMatch(/^mcp_mcp_limit_who-principal-day_principal_[\w-]{8,}_\d+$/);
    expect(keys.join()).not.toContain("carol");
  });
});
