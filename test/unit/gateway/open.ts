/** A gateway over a memory store with one session in it. Whatever it asks of others is told, and can be made to fail. */
import { type AdmissionCaps, createAdmission } from "../../../src/admission/admission.ts";
import type { Use } from "../../../src/admission/in-use.ts";
import type { Ledger } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import type { Opened } from "../../../src/backends/opened.ts";
import { ABORTED, type Rpc } from "../../../src/backends/rpc.ts";
import type { HeaderFields, ResponseHead } from "../../../src/core/http.ts";
import type { Identity } from "../../../src/core/identity.ts";
import type { RequestPolicy } from "../../../src/core/routes.ts";
import { type BackendCredentials, NO_SECRETS } from "../../../src/credentials/credentials.ts";
import type { Catalogue } from "../../../src/federation/catalogue.ts";
import type { RequestEvent } from "../../../src/gateway/events.ts";
import type { HoldAnswer } from "../../../src/gateway/filtered-answers.ts";
import { createGateway } from "../../../src/gateway/gateway.ts";
import { createModeOverrideHealth } from "../../../src/recovery/mode-override.ts";
import type { RecoveredAnswers } from "../../../src/recovery/recovered-answer.ts";
import type { ReplayableRequests } from "../../../src/recovery/replayable.ts";
import type { Resumed, ResumeRequest } from "../../../src/recovery/resume.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type SessionStore, type StateChange } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf } from "./catalogue.ts";

/** Where the session is. */
export const BINDING = { sessionId: "backend-id", endpoint: "10.0.0.1:80", generation: 1 };
export const LIFESPAN = { idle: 8_000, lifetime: 60_000, unused: 5_000 };

export interface OpenOptions {
  readonly policy?: RequestPolicy;
  readonly identity?: Identity | undefined;
  readonly caps?: Partial<AdmissionCaps>;
  /** Operations of the store that do something else. */
  readonly store?: Partial<SessionStore>;
  /** Operations of the ledger that do something else. */
  readonly ledger?: (ledger: Ledger) => Partial<Ledger>;
  /** Whether backends can be told that a session of theirs will not be used. */
  readonly tells?: boolean;
  /** What comes of the wait for another backend session in place of a parked one. Default: there is none. */
  readonly resume?: (signal: AbortSignal) => Promise<Resumed>;
  /** Default: nothing is kept. */
  readonly replayable?: ReplayableRequests;
  readonly recovered?: RecoveredAnswers;
  /** What comes of the first session at one of several backends. Default: it is aborted. */
  readonly openFirst?: (backend: string) => Promise<Opened>;
  /** Default: backends of federated routes offer nothing. */
  readonly catalogue?: Catalogue;
  /** Calls of the gateway's own. Default: none is answered. */
  readonly credentials?: BackendCredentials;
  /** Default: there is room for every answer. */
  readonly hold?: HoldAnswer;
  readonly rpc?: Partial<Pick<Rpc, "request" | "requestModern" | "subscribe" | "notify" | "respond">>;
}

const emptyCatalogue = catalogueOf([]);

/** The session has no lease. */
export async function openGateway({
  policy = POLICY,
  identity = policy.identity,
  caps,
  store: overStore,
  ledger: overLedger,
  tells = true,
  resume,
  replayable = { keep: () => ({ kind: "not-replayable", reason: "too-large" }) },
  recovered = { answer: async () => ({ kind: "first" }) },
  openFirst = async () => ({ kind: "aborted" }),
  catalogue = emptyCatalogue,
  hold = () => () => true,
  rpc,
  credentials = NO_SECRETS,
}: OpenOptions = {}) {
  let now = 0;
  const store = memoryStore({ ...LIFESPAN, now: () => now });
  const id = mintSessionId();
  const key = sessionKey(id);
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
  await store.create(key, { ...session, bindings: { one: BINDING } });
  await store.touch(key, "one");
  const changes: StateChange[] = [];
  const remember: SessionStore["remember"] = (of, backend, change) => {
    changes.push(change);
    return store.remember(of, backend, change);
  };
  const ledger = memoryLedger({ now: () => now });
  const used = { ...ledger, ...overLedger?.(ledger) };
  const uses = new Set<Use>();
  const resumed: ResumeRequest[] = [];
  const abandoned: string[] = [];
  const abandonedFor: HeaderFields[] = [];
  const opened: string[] = [];
  const told: string[] = [];
  const ended: string[] = [];
  const events: RequestEvent[] = [];
  const gateway = createGateway({
    credentials,
    login: async () => undefined,
    policy: () => ({ ...policy, identity, admission: { ...policy.admission, ...caps } }),
    store: { ...store, remember, ...overStore },
    ledger: used,
    admission: createAdmission(used),
    inUse: { begin: (use) => void uses.add(use), end: (use) => void uses.delete(use), stop: async () => undefined },
    resume: async (request, signal) => {
      resumed.push(request);
      return resume?.(signal) ?? { kind: "none" };
    },
    rewrites: createModeOverrideHealth(),
    openFirst: async (request) => {
      opened.push(request.backend.name);
      return openFirst(request.backend.name);
    },
    catalogue,
    endStream: (of) => void ended.push(of),
    rpc: {
      request: async () => ABORTED,
      requestModern: async () => ABORTED,
      subscribe: async () => ABORTED,
      notify: async () => ABORTED,
      respond: async () => ABORTED,
      ...rpc,
    },
    fanOut: {
      async tell({ key: of, method }) {
        told.push(`${method} ${of === key ? "own" : of}`);
      },
    },
    hold,
    replayable,
    recovered,
    abandon: async (backend, { sessionId }, headers) => {
      abandoned.push(`${backend} ${sessionId}`);
      abandonedFor.push(headers);
      return tells;
    },
    observe: { request: () => (event) => void events.push(event) },
  });
  return {
    gateway,
    exchange: gateway.open(),
    store,
    ledger,
    id,
    key,
    events,
    uses,
    resumed,
    opened,
    told,
    /** Keys of sessions whose streams were to end. */
    ended,
    abandoned,
    abandonedFor,
    /** What the store was asked to remember. */
    changes,
    advance: (ms: number) => (now += ms),
  };
}

/** The head of an answer that the session's endpoint gave. */
export function answerHead(headers: Readonly<Record<string, string>>, over: Partial<ResponseHead> = {}): ResponseHead {
  return { headers: fields(headers), endpoint: BINDING.endpoint, flags: 0, endOfStream: false, ...over };
}
