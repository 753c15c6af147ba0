/** Begins a session on a route to several backends: the gateway answers, and each backend begins one when it is first needed. */
import type { Admission, Slot } from "../admission/admission.ts";
import { initializeResult } from "../core/federation/initialize.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import { textOf } from "../core/json/span.ts";
import { catalogueMessageTimeout, type FederatedRoute } from "../core/routes.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import { mintSessionId, sessionKey, sessionTag } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";
import type { MessageOf } from "./accepted.ts";
import { answered, type DeferredStep, type NextStep, replied, type Step, settledStep } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { notAdmitted, withSlot } from "./slot.ts";

export interface BeginFederatedDependencies {
  readonly store: SessionStore;
  readonly admission: Admission;
  readonly catalogue: Catalogue;
}

type BeginFederated = (
  request: GatewayRequest<FederatedRoute>,
  message: MessageOf<"initialize">,
  body: Uint8Array,
) => NextStep;

/** What the client wrote. */
interface Asked {
  readonly initializeParams: string;
  readonly protocolVersion: string | undefined;
}

export function createBeginFederated({ store, admission, catalogue }: BeginFederatedDependencies): BeginFederated {
  async function begin(request: GatewayRequest<FederatedRoute>, asked: Asked): Promise<Step | DeferredStep> {
    const { route, policy, observe } = request;
    const id = mintSessionId();
    const key = sessionKey(id);
    const wanted = { key, at: route.path, longest: policy.admission.wait };
    return withSlot(admission, request, wanted, async (slot): Promise<Step> => {
      const outcome = await keep(request, asked, key, slot);
      if (outcome.kind !== "committed") {
        slot.release();
        return replied(refuse(notAdmitted(outcome, request), request));
      }
      observe({ kind: "forwarded", route, how: "initialize" });
      observe({ kind: "session-created", route, tag: sessionTag(key), endpoint: undefined });
      const result = initializeResult(route, catalogue.view(route, undefined), asked.protocolVersion);
      return replied(answered(responseText(request.id, result), [[MCP_SESSION_ID, id]]));
    });
  }

  async function keep(
    { route, principal, scope }: GatewayRequest<FederatedRoute>,
    asked: Asked,
    key: ReturnType<typeof sessionKey>,
    slot: Slot,
  ) {
    const session = { owner: principal.digest, route: route.path, ...asked, bindings: {} };
    const created = await store.create(key, session);
    if (created.kind !== "created") return UNAVAILABLE;
    // A client that has left never learns the id.
    const outcome = scope.over ? LEFT : await slot.commit(created.expiresIn);
    if (outcome.kind !== "committed") await store.remove(key);
    return outcome;
  }

  return (request, { params, protocolVersion }, body) => {
    // Read now: the body must not stay in memory while the initialize waits.
    const asked = { initializeParams: textOf(body, params), protocolVersion };
    const { route, policy } = request;
    const ready = catalogue.ready(route, undefined);
    if (!ready) return begin(request, asked);
    const step = ready.then(() => settledStep(begin(request, asked)));
    return { kind: "deferred", messageTimeout: catalogueMessageTimeout(route.lists, policy.admission.wait), step };
  };
}

const UNAVAILABLE = { kind: "unavailable" } as const;
const LEFT = { kind: "left" } as const;

/** @param id JSON text of the request's id */
export function responseText(id: string | undefined, result: string): string {
  const idMember = id === undefined ? "" : `"id":${id},`;
  return `{"jsonrpc":"2.0",${idMember}"result":${result}}`;
}
