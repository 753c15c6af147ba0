/** The gateway in both shapes in which it keeps its promises about sessions. */
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { startFleet } from "./fleet.ts";
import { startStack } from "./stack.ts";

/** Sections of mcp-router.yaml: backends, routes, and what else is no address and no store. */
type Sections = Readonly<Record<string, unknown>>;

export interface Gateway {
  /** Port of Envoy's listener for clients. */
  readonly port: number;
  /** Where its sessions are, if not in the memory of its router. */
  readonly redis: RunningRedis | undefined;
  stop(): Promise<void>;
}

/** @param redis settings of the store where that is Redis */
type StartGateway = (sections: Sections, redis?: Sections) => Promise<Gateway>;

/** For `describe.each`: what it is called, and how it is started. */
export const GATEWAYS: readonly (readonly [string, StartGateway])[] = [
  ["one router with its own memory", startOnMemory],
  ["two routers on one Redis", startOnRedis],
];

async function startOnMemory(sections: Sections): Promise<Gateway> {
  const stack = await startStack({ backends: {}, routes: [], config: sections });
  return { port: stack.port, redis: undefined, stop: stack.stop };
}

async function startOnRedis(sections: Sections, settings: Sections = {}): Promise<Gateway> {
  const started = new AsyncDisposableStack();
  const redis = await startRedis();
  started.defer(async () => void (await redis.stop()));
  try {
    const fleet = await startFleet(2, { ...sections, store: { kind: "redis", url: redis.url, ...settings } });
    started.defer(() => fleet.stop());
    return { port: fleet.port, redis, stop: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
