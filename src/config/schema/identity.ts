/** `identity`: how the principal of a request is known. */
import * as z from "zod";
import { addFault } from "../fault.ts";
import { duration } from "../values/quantities.ts";
import { anyText, text, trueOrFalse } from "../values/text.ts";
import { type WebUrl, webUrl } from "../values/urls.ts";

/** The keys that tokens are signed by: a file on Envoy's machine, or what Envoy fetches every `refresh` ms. */
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

const jwks = z
  .strictObject({
    file: text("the path of a JSON Web Key Set")
      .optional()
      .describe("JSON Web Key Set (RFC 7517), as a path on Envoy's machine."),
    uri: webUrl.optional().describe("Where Envoy fetches it from instead."),
    ca: text("the path of a PEM file")
      .optional()
      .describe(
        "Of `uri`: PEM file of the authorities that Envoy trusts, as a path on its machine. Default: " +
          "the system's.",
      ),
    refresh: duration
      .prefault("10m")
      .describe(
        "Of `uri`: how long Envoy uses a set before it fetches it again. New keys of the issuer are " +
          "known after it.",
      ),
  })
  .transform(readJwks)
  .describe("The keys that tokens are signed by: one of `file` and `uri`.");

const identity = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("none").describe("Everybody is anonymous: whoever has a session's id can use it."),
  }),
  z.strictObject({
    kind: z.literal("jwt").describe("A bearer token, which Envoy checks before the router is asked."),
    issuer: text("the issuer of the tokens").describe("`iss` of the tokens, as they have it."),
    audiences: z
      .array(text("an audience"), "expected a list of audiences")
      .min(1, "expected at least one audience")
      .describe("A token must be for one of these."),
    jwks,
    required: required.describe("Whether a request without a token is refused."),
  }),
  z.strictObject({
    kind: z.literal("header").describe("A header that whoever is ahead of the router sets."),
    name: anyText("the name of a header")
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/i, "expected the name of a header: letters, digits and hyphens, at most 63")
      .toLowerCase()
      .meta({ title: "the name of a header" })
      .describe(
        "Its name. What is ahead of the router must take it away where a client sends it. `forwarded`, `x-real-ip` and `x-forwarded-…` " +
          "want `gateway.trustedHops`, without which Envoy removes them.",
      ),
    required: required.describe("Whether a request without it is refused."),
  }),
]);

export const identitySection = identity
  .prefault({ kind: "none" })
  .describe("How the principal of a request is known, to whom its session then belongs.");

function readJwks({ file, uri, ca, refresh }: WrittenJwks, context: z.RefinementCtx): Jwks {
  if (file !== undefined && uri === undefined) {
    if (ca === undefined) return { kind: "file", file };
    addFault(context, ["ca"], "is for uri, and nothing is fetched where there is a file; remove it");
    return z.NEVER;
  }
  if (uri !== undefined && file === undefined) return { kind: "uri", uri, ca, refresh };
  const got = uri === undefined ? "neither" : "both";
  addFault(context, [], `got ${got}, expected one of file (a JSON Web Key Set on Envoy's machine) and uri`);
  return z.NEVER;
}
