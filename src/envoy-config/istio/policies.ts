/** Istio's objects of both modes: connections to services, access to the egress port, and tokens. */
import type { Config } from "../../config/load.ts";
import type { TcpAddress } from "../../core/address.ts";
import { PROCESSOR_CONNECT, processorCircuitBreakers } from "../clusters.ts";
import { ISTIO_KEEPALIVE } from "../keepalive.ts";
import { duration, type Message } from "../proto-json.ts";
import { type MeshObject, meshObject, type Owner } from "./object.ts";

/** Thresholds of Envoy's circuit breakers. */
interface Limits {
  readonly max_connections: number;
  readonly max_pending_requests: number;
  readonly max_requests: number;
  readonly max_retries?: number;
}

interface Connections {
  readonly limits: Limits;
  /** How long (ms) it may take to connect. */
  readonly connect: number;
  /** After how many idle ms Envoy closes a connection. */
  readonly idle?: number;
}

/** networking.istio.io ConnectionPoolSettings. */
export function connectionPool({ limits, connect, idle }: Connections): Message {
  return {
    tcp: { maxConnections: limits.max_connections, connectTimeout: duration(connect), tcpKeepalive: ISTIO_KEEPALIVE },
    http: {
      http1MaxPendingRequests: limits.max_pending_requests,
      http2MaxRequests: limits.max_requests,
      ...(limits.max_retries !== undefined && { maxRetries: limits.max_retries }),
      ...(idle !== undefined && { idleTimeout: duration(idle) }),
    },
  };
}

/** For the pods of the selector alone: other pods may have rules of their own for the same service. */
export function destinationRule(
  owner: Owner,
  comment: string,
  host: string,
  ports: readonly { readonly port: number; readonly settings: Message }[],
): MeshObject {
  return meshObject("networking", "DestinationRule", owner, {
    comment,
    name: `${owner.name}.${host}`,
    spec: {
      host,
      workloadSelector: { matchLabels: owner.selector },
      trafficPolicy: {
        portLevelSettings: ports.map(({ port, settings }) => ({ port: { number: port }, ...settings })),
      },
    },
  });
}

export function processorRule(owner: Owner, { host, port }: TcpAddress, envoy: Config["envoy"]): MeshObject {
  const settings = {
    connectionPool: connectionPool({ limits: processorCircuitBreakers(envoy), connect: PROCESSOR_CONNECT }),
  };
  const comment = "The processor, mcp-router: each request holds one of its streams.";
  return destinationRule(owner, comment, host, [{ port, settings }]);
}

/**
 * A policy that denies: beside one that allows, every other request of the pods would need a policy that allows it. A caller without a
 * certificate has no principal, and is denied too.
 */
export function egressPolicy(owner: Owner, port: number): MeshObject[] {
  if (owner.router === undefined) return [];
  const [namespace, account] = owner.router.split("/");
  const notPrincipals = [`*/ns/${namespace}/sa/${account}`];
  return [
    meshObject("security", "AuthorizationPolicy", owner, {
      comment: "Only the router may call the port of egress, which goes around it.",
      name: `${owner.name}-egress`,
      spec: {
        selector: { matchLabels: owner.selector },
        action: "DENY",
        rules: [{ from: [{ source: { notPrincipals } }], to: [{ operation: { ports: [String(port)] } }] }],
      },
    }),
  ];
}

/** For the comment of the object with the port of egress: what keeps others from it. */
export function egressAccess({ router }: Owner): string {
  return router === undefined
    ? "Its requests bypass the router, so a NetworkPolicy must admit only the router."
    : "Its requests bypass the router, so an AuthorizationPolicy admits only the router.";
}

/**
 * Istio refuses a wrong token, and passes a request without one. The router refuses that (identity.required) by the 401 that tells a
 * client to get a token; an AuthorizationPolicy would answer 403.
 */
export function requestAuthentication({ identity }: Config, owner: Owner): MeshObject[] {
  if (identity.kind !== "jwt" || identity.jwks.kind === "file") return [];
  const { issuer, audiences, jwks } = identity;
  return [
    meshObject("security", "RequestAuthentication", owner, {
      comment:
        "Wrong tokens are refused here. A request without one the router refuses, with the challenge that clients want.",
      spec: {
        selector: { matchLabels: owner.selector },
        jwtRules: [
          {
            issuer,
            audiences,
            jwksUri: jwks.uri.href,
            // By default Istio takes a token from the query too, where logs show it, and does not pass it to the backend.
            fromHeaders: [{ name: "Authorization", prefix: "Bearer " }],
            forwardOriginalToken: true,
          },
        ],
      },
    }),
  ];
}
