/** A request whose head was accepted, for tests of the steps that follow. */
import type { RequestEvent } from "../../../src/gateway/events.ts";
import type { GatewayRequest } from "../../../src/gateway/request.ts";
import { HttpRequestScope } from "../../../src/gateway/scope.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";

export function gatewayRequest(over: Partial<GatewayRequest> = {}) {
  const scope = new HttpRequestScope();
  const request: GatewayRequest = {
    kind: "message",
    route: ROUTE,
    query: "",
    headers: fields({ ":method": "POST", ":path": "/mcp" }),
    spoofed: [],
    headersToRemove: [],
    page: [],
    principal: { digest: ANONYMOUS, claim: () => undefined, name: undefined, values: () => [] },
    session: { kind: "none" },
    id: "7",
    batch: undefined,
    timeout: undefined,
    policy: POLICY,
    scope,
    observe: () => undefined,
    ...over,
  };
  return { request, scope };
}

/** Tells what happened. */
export function observed() {
  const events: RequestEvent[] = [];
  const observe = (event: RequestEvent) => void events.push(event);
  return { events, observe };
}
