/**
 * Begins a session at a backend: initialize, notifications/initialized, and what an earlier session had been told. The session is
 * bound to nothing yet.
 */
import { MCP_SESSION_ID } from "../core/headers.ts";
import { isSuccess } from "../core/http.ts";
import { readSessionHeader } from "../core/session-header.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { SessionState } from "../sessions/store.ts";
import type { Answer } from "./client.ts";
import { keptCookies, withCookies } from "./cookies.ts";
import type { SessionEnder } from "./end.ts";
import type { NotOpened } from "./opened.ts";
import type { RetryPauses } from "./retry-after.ts";
import { ABORTED, type Caller, type NoAnswer, type Rpc, type RpcSession, readResponse, readWords } from "./rpc.ts";
import { asksForLogin, readSaid } from "./said.ts";
import { sleep } from "./sleep.ts";

/** ms between two tries to initialize while no endpoint takes connections: at first, and at most. */
const FIRST_RETRY_MS = 25;
const LONGEST_RETRY_MS = 500;
/** Subscriptions of one session that are restored at once: it may have a hundred, and little time. */
const SUBSCRIBES_AT_ONCE = 8;

export interface BeginDependencies {
  readonly rpc: Rpc;
  readonly ender: Pick<SessionEnder, "end" | "endIfThere">;
  readonly pauses: RetryPauses;
}

/** Whose session it is, and what its begin may do. */
export interface BeginRequest extends Caller {
  readonly key: SessionKey;
  /** A login that the backend asks for is the client's matter. Otherwise it is a refusal like another. */
  readonly surfacesLogin: boolean;
  /** Endpoint of the session before; undefined where there was none. */
  readonly lastEndpoint: string | undefined;
}

/** How long an opening may take, and how it shares the backend with others. */
export interface Turn {
  /** Ends what may be broken off: the time is over, or every client has left. */
  readonly signal: AbortSignal;
  /** Ends what must be seen through: the time is over. */
  readonly bound: AbortSignal;
  /** Waits so many ms, while others at the backend go ahead. Resolves to false where the signal comes first. */
  rest(ms: number): Promise<boolean>;
  /** `true`: a backend may have begun a session, so the opening is to be seen through, or nobody could end that session. */
  commit(committed: boolean): void;
}

const NO_CONNECTION: NotOpened = { kind: "unavailable", what: "backend", why: { reason: "no-connection" } };

/** Names the client's session at a backend, whichever binding it has. */
export function sessionAtBackend({ key, backend }: Pick<BeginRequest, "key" | "backend">): string {
  return `${key}/${backend.name}`;
}

type Begun =
  | { readonly kind: "begun"; readonly session: RpcSession }
  /** The backend has answered, and named no session. */
  | { readonly kind: "sessionless"; readonly version: string | undefined }
  | NotOpened;

type Confirmed = { readonly kind: "confirmed" } | { readonly kind: "lost" } | { readonly kind: "login" } | NoAnswer;

/** Sends the messages of one opening. */
export class Beginning {
  readonly #dependencies: BeginDependencies;
  readonly #request: BeginRequest;
  readonly #turn: Turn;

  constructor(dependencies: BeginDependencies, request: BeginRequest, turn: Turn) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#turn = turn;
  }

  /**
   * Sends initialize to any endpoint, again while Envoy says that none takes connections: a backend that restarts is soon back. A
   * backend that refuses itself, to shed load for example, is not asked again. Once sent, the call is not aborted before its time is
   * over: a session whose id nobody knows would stay at the backend.
   */
  async initialize(params: string): Promise<Begun> {
    const { surfacesLogin } = this.#request;
    const { signal, bound } = this.#turn;
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      if (signal.aborted) return ABORTED;
      this.#turn.commit(true);
      const message = { method: "initialize", params };
      const sent = await this.#dependencies.rpc.request(this.#request, undefined, message, bound);
      if (sent.kind !== "received") return sent;
      const { answer } = sent.value;
      if (surfacesLogin && asksForLogin(answer.status)) {
        answer.discard();
        return { kind: "login" };
      }
      // An answer with an endpoint is the backend's, whatever its words.
      if (answer.status !== 503 || answer.endpoint !== undefined) return await this.#begun(answer);
      const words = await readWords(answer, bound);
      if (words.kind !== "received") return words;
      if (readSaid(503, words.value) !== "away") return await this.#begun(answer);
      this.#turn.commit(false);
      // Where it is the clients that have left, nobody wants to know.
      if (!(await sleep(wait, signal))) return bound.aborted ? NO_CONNECTION : ABORTED;
    }
  }

  /**
   * Sends notifications/initialized. `lost`: so is the new session, before its first use; servers that restart one after another do
   * that. Any other answer but a login is no failure: the session has begun.
   */
  async confirm(session: RpcSession): Promise<Confirmed> {
    const { bound } = this.#turn;
    const message = { method: "notifications/initialized" };
    const sent = await this.#dependencies.rpc.notify(this.#request, session, message, bound);
    if (sent.kind !== "received") return sent;
    const words = await readWords(sent.value, bound);
    if (words.kind !== "received") return words;
    const said = readSaid(sent.value.status, words.value);
    if (said === "lost" || said === "away") return { kind: "lost" };
    // The credentials may begin a session, and nothing more.
    return said === "refused" && this.#request.surfacesLogin ? { kind: "login" } : { kind: "confirmed" };
  }

  /** Tells the session what an earlier one was told. A backend that refuses some of it has told the client so before. */
  async restore(state: SessionState, session: RpcSession): Promise<{ readonly kind: "restored" } | NoAnswer> {
    const say = async (method: string, params: string): Promise<NoAnswer | undefined> => {
      const { bound } = this.#turn;
      const sent = await this.#dependencies.rpc.request(this.#request, session, { method, params }, bound);
      if (sent.kind !== "received") return sent;
      // The head of an event stream comes before the server has done anything.
      const response = await readResponse(sent.value.answer, bound);
      return response.kind === "received" ? undefined : response;
    };
    const refused = state.level === undefined ? undefined : await say("logging/setLevel", state.level);
    if (refused) return refused;
    const subscriptions = state.subscriptions.values();
    const worker = async () => {
      for (const params of subscriptions) {
        const failure = await say("resources/subscribe", params);
        if (failure) return failure;
      }
      return undefined;
    };
    const outcomes = await Promise.all(Array.from({ length: SUBSCRIBES_AT_ONCE }, worker));
    return outcomes.find((failure) => failure !== undefined) ?? { kind: "restored" };
  }

  /** Ends a session that nobody will use: it must not cost the backend memory. */
  abandon(session: Omit<RpcSession, "version">): void {
    const { credentials, backend } = this.#request;
    void this.#dependencies.ender.end(backend.name, session, withCookies(credentials, session.setCookies));
  }

  /** The same for a session that is believed gone. */
  abandonIfThere(session: RpcSession): void {
    const { credentials } = this.#request;
    this.#dependencies.ender.endIfThere(this.#request, session, withCookies(credentials, session.setCookies));
  }

  async #begun(answer: Answer): Promise<Begun> {
    const fields = answer.headers.filter(([name]) => name === MCP_SESSION_ID).map(([, value]) => value);
    const given = readSessionHeader(fields.join(", "));
    if (given.kind !== "one") {
      const result = await this.#result(answer);
      if (result.kind !== "result") return result;
      if (given.kind === "none") return { kind: "sessionless", version: result.version };
      return { kind: "refused", why: { reason: "several-sessions" } };
    }
    const { endpoint } = answer;
    const { lastEndpoint } = this.#request;
    const setCookies = keptCookies(answer.headers);
    if (endpoint === undefined) {
      answer.discard();
      // A backend with one endpoint has it there still.
      if (lastEndpoint !== undefined) this.abandon({ sessionId: given.id, endpoint: lastEndpoint, setCookies });
      return { kind: "refused", why: { reason: "no-endpoint" } };
    }
    const begun = { sessionId: given.id, endpoint, setCookies };
    const result = await this.#result(answer);
    if (result.kind === "result") return { kind: "begun", session: { ...begun, version: result.version } };
    this.abandon(begun);
    return result;
  }

  /** Reads the result of an initialize. `version`: the negotiated one, where the backend names one. */
  async #result(
    answer: Answer,
  ): Promise<{ readonly kind: "result"; readonly version: string | undefined } | NotOpened> {
    const { status } = answer;
    if (isSuccess(status)) {
      const response = await readResponse(answer, this.#turn.bound);
      if (response.kind !== "received") return response;
      const result = response.value?.result;
      if (result) return { kind: "result", version: result.protocolVersion };
    } else {
      answer.discard();
      this.#dependencies.pauses.obey(answer, this.#request.backend.name, sessionAtBackend(this.#request));
    }
    const why = { reason: "status", status } as const;
    return status >= 500 ? { kind: "unavailable", what: "backend", why } : { kind: "refused", why };
  }
}
