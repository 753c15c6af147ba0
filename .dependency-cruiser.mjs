// The direction of imports (docs/architecture.md, "Modules"): main → serve → ext-proc → gateway → core and the contracts.
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: "error",
  from: { path: from },
  to: { path: "^src/", pathNot: [from, ...allowed] },
});

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-unresolved",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    only("core-is-pure", "^src/core/", [], "core imports core only"),
    {
      name: "core-needs-nothing",
      comment: "no I/O, clock, logger or library in the core; node:buffer is the one thing of Node's that it may use",
      severity: "error",
      from: { path: "^src/core/" },
      to: { dependencyTypes: ["npm", "core"], pathNot: "^(node:)?buffer$" },
    },
    only("contract-of-sessions", "^src/sessions/(store|id)\\.ts$", ["^src/core/"], "a contract knows the core only"),
    only(
      "contract-of-admission",
      "^src/admission/(ledger|lease|admission|sweeper|retried|parking|in-use|waiting-room)\\.ts$",
      ["^src/core/", "^src/sessions/(store|id)\\.ts$"],
      "admission knows the contract of sessions, and no implementation",
    ),
    only("redis", "^src/redis/", [], "connections to Redis know nothing of what is kept there"),
    only(
      "sessions-know-their-contract",
      "^src/sessions/",
      ["^src/core/", "^src/redis/circuit\\.ts$"],
      "an implementation knows its interface, the core and its connection; and no limits",
    ),
    only(
      "admission-knows-its-contract",
      "^src/admission/",
      ["^src/core/", "^src/redis/circuit\\.ts$", "^src/sessions/(store|id)\\.ts$"],
      "an implementation knows its interface, the contract of sessions and its connection",
    ),
    only(
      "recovery",
      "^src/recovery/",
      ["^src/core/", "^src/backends/", "^src/locks/(locks|semaphore)\\.ts$", "^src/sessions/(store|id)\\.ts$"],
      "recovery knows the contracts of sessions and locks, and what we do at a backend ourselves",
    ),
    only(
      "backends",
      "^src/backends/",
      ["^src/core/", "^src/locks/(locks|semaphore)\\.ts$", "^src/sessions/(store|id)\\.ts$"],
      "what we do at a backend ourselves knows the contracts of sessions and locks",
    ),
    only("locks", "^src/locks/", ["^src/redis/circuit\\.ts$"], "locks know nothing of what they guard"),
    only("contract-of-locks", "^src/locks/(locks|semaphore)\\.ts$", [], "a contract knows no implementation"),
    only("core-json", "^src/core/json/", [], "bytes of JSON, nothing of JSON-RPC and MCP"),
    only(
      "core-sse",
      "^src/core/sse/",
      ["^src/core/bytes\\.ts$"],
      "bytes of event streams, nothing of JSON-RPC and MCP",
    ),
    only(
      "gateway",
      "^src/gateway/",
      [
        "^src/core/",
        "^src/sessions/(store|id)\\.ts$",
        "^src/admission/(ledger|lease|admission|in-use)\\.ts$",
        "^src/recovery/(replayable|resume)\\.ts$",
      ],
      "gateway → core, contracts",
    ),
    only("ext-proc", "^src/ext-proc/", ["^src/gateway/gateway\\.ts$", "^src/core/"], "ext-proc → gateway → core"),
    only("config", "^src/config/", ["^src/core/"], "config knows nothing of what it configures"),
    only("config-values", "^src/config/values/", ["^src/core/address\\.ts$"], "kinds of value know no section"),
    only(
      "config-schema",
      "^src/config/schema/",
      ["^src/config/values/", "^src/config/(fault|workers)\\.ts$", "^src/core/address\\.ts$"],
      "a section of the schema knows no other, and none of what is made of it",
    ),
    only("envoy-config", "^src/envoy-config/", ["^src/config/", "^src/core/"], "made from our configuration alone"),
    only(
      "observe",
      "^src/observe/",
      [
        "^src/core/",
        "^src/telemetry/",
        "^src/gateway/gateway\\.ts$",
        "^src/last-net\\.ts$",
        "^src/recovery/recover\\.ts$",
        "^src/backends/end\\.ts$",
        "^src/admission/(parking|sweeper)\\.ts$",
        "^src/redis/(circuit|watch)\\.ts$",
        "^src/sessions/id\\.ts$",
      ],
      "observers map the events of others to metrics and log lines",
    ),
    only("http", "^src/http/", ["^src/core/", "^src/telemetry/"], "HTTP for operators knows nothing of what it serves"),
    only("telemetry", "^src/telemetry/", ["^src/core/"], "telemetry knows nothing of what it reports"),
    {
      name: "implementations-are-chosen-in-one-place",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: ["^src/shared-state\\.ts$", "^src/observe/redis\\.ts$", "^src/(sessions|admission|locks|redis)/"],
      },
      to: {
        path: "^src/(sessions|admission|redis|locks)/",
        pathNot: [
          "^src/sessions/(store|id)\\.ts$",
          "^src/locks/(locks|semaphore)\\.ts$",
          "^src/admission/(ledger|lease|admission|sweeper|parking|in-use)\\.ts$",
        ],
      },
    },
    {
      name: "grpc-js-in-one-place",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/ext-proc/server\\.ts$" },
      to: { path: "node_modules/@grpc/grpc-js" },
    },
    {
      name: "protobufjs-in-tests-only",
      comment: "the wire format is read and written by hand: ext-proc/wire.ts",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "node_modules/protobufjs" },
    },
    {
      name: "product-does-not-know-its-tests",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(harness|demo|bench|test)/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // TypeScript 7 has no API for it yet.
    parser: "swc",
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
