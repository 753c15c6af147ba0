/** `identity`: how the principal of a request is known. */
import * as z from "zod";
import { addFault } from "../fault.ts";
import { duration } from "../values/quantities.ts";
import { headerName, scope, text, trueOrFalse } from "../values/text.ts";
import { type WebUrl, webUrl } from "../values/urls.ts";

/** The keys that verify tokens: a file on Envoy's machine, or a URL that Envoy fetches every `refresh` ms. */
export type Jwks =
  | { readonly kind: "file"; readonly file: string }
  | { readonly kind: "uri"; readonly uri: WebUrl; readonly ca: string | undefined; readonly refresh: number };

interface WrittenJwks {
  readonly file?: string | undefined;
  readonly uri?: WebUrl | undefined;
  readonly ca?: string | undefined;
  readonly refresh: number;
}

const required = trueOrFalse.default(true);

/** RFC 8707 §2: no fragment. A query would make the URL of the metadata ambiguous. */
const resource = webUrl
  .refine(({ href }) => !/[?#]/.test(href), "expected a URL without a query")
  .transform(({ href }) => href);

const jwks = z
  .strictObject({
    file: text("the path of a JSON Web Key Set")
      .optional()
      .describe(
        "File of a JSON Web Key Set (RFC 7517): a path on Envoy's machine. Envoy reads it when it gets the setting, and not when the file " +
          "changes: to take a key away, name another file, or use `uri`.",
      ),
    uri: webUrl.optional().describe("URL from which Envoy fetches the JSON Web Key Set."),
    ca: text("the path of a PEM file")
      .optional()
      .describe(
        "With `uri`: PEM file of the certificate authorities that Envoy trusts, a path on Envoy's machine. Default: the " +
          "system's.",
      ),
    refresh: duration
      .prefault("10m")
      .describe(
        "With `uri`: how long Envoy uses a key set before it fetches it again. A new key of the issuer works after at " +
          "most this time.",
      ),
  })
  .transform(readJwks)
  .describe("The keys that verify tokens. Set exactly one of `file` and `uri`.");

const identity = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("none").describe("All callers are anonymous: a session belongs to anyone who has its id."),
  }),
  z.strictObject({
    kind: z.literal("jwt").describe("A bearer token (JWT), which Envoy verifies before it asks the router."),
    issuer: text("the issuer of the tokens").describe("The exact `iss` claim of the tokens."),
    audiences: z
      .array(text("an audience"), "expected a list of audiences")
      .min(1, "expected at least one audience")
      .describe("A token must have one of these in its `aud` claim."),
    jwks,
    required: required.describe("Whether a request without a token is refused."),
    resource: resource
      .optional()
      .describe(
        "The URL by which clients know the gateway, where it is not the one that they use: a proxy ahead changes host or path. " +
          "Default: the URL of each route, by the host and scheme of the request.",
      ),
    scopes: z
      .array(scope, "expected a list of scopes")
      .default([])
      .describe("The scopes that clients are told to ask for. Tokens without them are accepted all the same."),
    authorizationServers: z
      .array(webUrl, "expected a list of URLs")
      .min(1, "expected at least one URL")
      .optional()
      .describe("Issuers from which clients get tokens. Default: `issuer`, where it is a URL."),
  }),
  z.strictObject({
    kind: z.literal("header").describe("A header that a trusted proxy ahead of the router sets."),
    name: headerName.describe(
      "Name of the header. The proxy must remove the header if a client sends it. `forwarded`, `x-real-ip` and " +
        "`x-forwarded-…` need `gateway.trustedHops`, because Envoy removes them otherwise.",
    ),
    required: required.describe("Whether a request without the header is refused."),
  }),
]);

export const identitySection = identity
  .prefault({ kind: "none" })
  .describe(
    "How the router identifies the principal of a request. A session belongs to the principal that started it.",
  );

function readJwks({ file, uri, ca, refresh }: WrittenJwks, context: z.RefinementCtx): Jwks {
  if (file !== undefined && uri === undefined) {
    if (ca === undefined) return { kind: "file", file };
    addFault(context, ["ca"], "applies only to uri; remove it");
    return z.NEVER;
  }
  if (uri !== undefined && file === undefined) return { kind: "uri", uri, ca, refresh };
  const got = uri === undefined ? "neither" : "both";
  addFault(context, [], `got ${got}, expected one of file (a JSON Web Key Set on Envoy's machine) and uri`);
  return z.NEVER;
}
