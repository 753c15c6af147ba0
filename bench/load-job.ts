/** What bench.ts asks of the load process, and what it gets back: JSON in the first argument, a line of JSON on stdout. */

/** One set-up to put under load. */
export interface LoadTarget {
  readonly name: string;
  /** Envoy's port for clients. */
  readonly port: number;
  /** The client names its session's endpoint to Envoy: for set-ups without a router. */
  readonly clientPins: boolean;
  /** The tool as clients see it. Default: as the backend names it. */
  readonly tool?: string | undefined;
  /** Processes whose CPU time is measured. */
  readonly envoyPid: number;
  readonly processorPid: number | undefined;
  /** Where the processor keeps its sessions, if not in itself. */
  readonly redis: { readonly pid: number; readonly url: string } | undefined;
}

export interface LoadJob {
  readonly targets: readonly LoadTarget[];
  /** Sessions with each target. */
  readonly sessions: number;
  readonly atOnce: number;
  /** Requests to each target before any is counted: until Node has compiled what is hot, they cost double. */
  readonly warmUp: number;
  /** For CPU: turns of each target, and requests in a turn, `atOnce` at a time. */
  readonly full: { readonly turns: number; readonly requests: number };
  /** For latency: turns of each target, and requests in a turn, at a fixed pace whatever the answers do. */
  readonly paced: { readonly turns: number; readonly requests: number; readonly perSecond: number };
  /** Requests for which the commands of Redis are counted: not in a measured turn, since counting costs Redis time. */
  readonly counted: number;
}

/** One turn at full load. CPU in µs for each request. */
export interface FullTurn {
  readonly envoyCpu: number;
  /** Of that, its main thread's. */
  readonly envoyMainCpu: number;
  readonly processorCpu: number | undefined;
  readonly redisCpu: number | undefined;
  readonly perSecond: number;
}

/** One turn at the fixed pace: latency in ms. */
export interface PacedTurn {
  readonly p50: number;
  readonly p99: number;
}

/** Of one target. Turn n of one target stood beside turn n of the others. */
export interface LoadResult {
  readonly full: readonly FullTurn[];
  readonly paced: readonly PacedTurn[];
  /** Commands that a request costs. */
  readonly redisCommands: number | undefined;
  readonly answers: number;
  readonly wrong: number;
  /** What was wrong with the first one. */
  readonly firstWrong: string | undefined;
}
