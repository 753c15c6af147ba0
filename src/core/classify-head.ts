/** The first decision on a request, from its head alone: refuse it, or say what kind of exchange it opens. Pure. */
import { acceptsEventStream } from "./accept.ts";
import { isJsonInUtf8, isUnencoded } from "./content.ts";
import { ORIGIN } from "./headers.ts";
import { type HeaderFields, HeaderNames, type Reply, type RequestHead } from "./http.ts";
import { type LoginAsked, loginAskedAt } from "./login.ts";
import { hostAllowed, originAllowed } from "./origin.ts";
import { publicPath } from "./public-path.ts";
import type { Reject } from "./reject.ts";
import { metadataReply } from "./resource-metadata.ts";
import type { RequestPolicy, Route } from "./routes.ts";

export type RequestKind =
  /** A POST whose body is to be read. */
  | { readonly kind: "message"; readonly route: Route; readonly query: string }
  /** A GET that opens an event stream. */
  | { readonly kind: "listen"; readonly route: Route; readonly query: string }
  /** A DELETE that ends a session. */
  | { readonly kind: "end"; readonly route: Route; readonly query: string }
  /** A document of a backend's. */
  | ({ readonly kind: "login" } & LoginAsked)
  /** A document of the gateway's own. */
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "reject"; readonly reject: Reject };

/**
 * Headers by which a POST asks to be treated as another method. Symfony, Laravel and Rails obey them: a message here would end a
 * session there, or open a stream.
 */
const METHOD_OVERRIDES = new HeaderNames(["x-http-method-override", "x-http-method", "x-method-override"]);
const METHOD_OVERRIDDEN = `a request must not override its method (${METHOD_OVERRIDES.names.join(", ")})`;

/** Checks, in this order: host, origin, path, method, and what each method's head must say. */
export function classifyHead({ headers, endOfStream }: RequestHead, policy: RequestPolicy): RequestKind {
  const host = headers.get(":authority") ?? "";
  if (!hostAllowed(host, policy)) return refuse({ reason: "host-not-allowed" });
  if (!originAllowed(headers.get(ORIGIN), host, policy)) return refuse({ reason: "origin-not-allowed" });
  const target = headers.get(":path") ?? "";
  const queryStart = target.indexOf("?");
  const query = queryStart < 0 ? "" : target.slice(queryStart);
  const path = queryStart < 0 ? target : target.slice(0, queryStart);
  // Nearly every client writes the path as it is configured: that costs one look.
  const route = policy.routes.get(path) ?? policy.routes.get(publicPath(path));
  if (!route) {
    const reply = metadataReply(headers, path, policy);
    if (reply) return { kind: "reply", reply };
    const login = loginAskedAt(headers, path, policy);
    return login ? { kind: "login", ...login } : refuse({ reason: "no-route" });
  }
  if (headers.present(METHOD_OVERRIDES).length > 0)
    return refuse({ reason: "invalid-request", detail: METHOD_OVERRIDDEN });
  switch (headers.get(":method")) {
    case "POST":
      return openPost(headers, endOfStream, route, query);
    case "GET":
      return acceptsEventStream(headers.get("accept"))
        ? { kind: "listen", route, query }
        : refuse({ reason: "not-acceptable" });
    case "DELETE":
      return { kind: "end", route, query };
    default:
      return refuse({ reason: "method-not-allowed" });
  }
}

function openPost(headers: HeaderFields, endOfStream: boolean, route: Route, query: string): RequestKind {
  if (!isJsonInUtf8(headers.get("content-type"))) return refuse({ reason: "content-type" });
  if (!isUnencoded(headers.get("content-encoding"))) return refuse({ reason: "content-encoding" });
  if (endOfStream) return refuse({ reason: "not-json" });
  return { kind: "message", route, query };
}

function refuse(reject: Reject): RequestKind {
  return { kind: "reject", reject };
}
