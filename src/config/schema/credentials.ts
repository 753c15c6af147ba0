/** `backends.*.credentials`: what a backend is told of who calls. */
import * as z from "zod";
import { KEY_ALGORITHMS, type KeyAlgorithm } from "../../core/key-algorithms.ts";
import { addFault } from "../fault.ts";
import { duration } from "../values/quantities.ts";
import { anyText, headerName, scope, text } from "../values/text.ts";
import { webUrl } from "../values/urls.ts";

const id = text("a client id").describe("Client id of the gateway at the token endpoint.");

const client = z
  .strictObject({
    id,
    secretFile: text("the path of a file")
      .optional()
      .describe("File with the client's secret, on the router's machine. It is read again when it changes."),
    method: z
      .enum(["basic", "post"])
      .optional()
      .describe(
        "With `secretFile`: how the secret is sent, as `client_secret_basic` or `client_secret_post`. Default: `basic`.",
      ),
    keyFile: text("the path of a PEM file")
      .optional()
      .describe(
        "PEM file (PKCS #8) with the client's private key, on the router's machine, for `private_key_jwt` (RFC 7523). It is read " +
          "again when it changes.",
      ),
    alg: z.enum(KEY_ALGORITHMS).optional().describe("With `keyFile`: the algorithm of the signature (RFC 7518)."),
    audience: text("an audience")
      .optional()
      .describe(
        "With `keyFile`: `aud` of the assertion, such as the issuer of the token endpoint. Default: `endpoint`.",
      ),
    keyId: text("the id of a key")
      .optional()
      .describe("With `keyFile`: `kid` of the key, where the token endpoint wants it. Default: none is sent."),
  })
  .transform(readClient)
  .describe("Who the gateway is to the token endpoint. Set exactly one of `secretFile` and `keyFile`.");

interface WrittenClient {
  readonly id: string;
  readonly secretFile?: string | undefined;
  readonly method?: "basic" | "post" | undefined;
  readonly keyFile?: string | undefined;
  readonly alg?: KeyAlgorithm | undefined;
  readonly keyId?: string | undefined;
  readonly audience?: string | undefined;
}

function readClient(
  { id, secretFile, method, keyFile, alg, keyId, audience }: WrittenClient,
  context: z.RefinementCtx,
) {
  if (secretFile !== undefined && keyFile === undefined) {
    for (const [name, value] of Object.entries({ alg, keyId, audience }))
      if (value !== undefined) addFault(context, [name], "applies only to keyFile; remove it");
    return { kind: "secret", id, file: secretFile, method: method ?? "basic" } as const;
  }
  if (keyFile !== undefined && secretFile === undefined) {
    if (method !== undefined) addFault(context, ["method"], "applies only to secretFile; remove it");
    if (alg !== undefined) return { kind: "key", id, file: keyFile, alg, keyId, audience } as const;
    addFault(context, ["alg"], "missing, expected the algorithm of keyFile, such as ES256");
    return z.NEVER;
  }
  const got = keyFile === undefined ? "neither" : "both";
  addFault(context, [], `got ${got}, expected one of secretFile and keyFile`);
  return z.NEVER;
}

/** RFC 6749 §3.2: TLS, but where nobody else can listen. */
const endpoint = webUrl.refine(
  ({ tls, host }) => tls || host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host),
  "expected a URL with https://, or with http:// one of this machine's loopback addresses",
);

const exchange = z
  .strictObject({
    endpoint: endpoint
      .meta({ title: "a URL" })
      .describe(
        "URL of the token endpoint. `https://`, or `http://` on a loopback address. Its redirects are not followed.",
      ),
    audience: text("an audience")
      .optional()
      .describe("`audience` of the token (RFC 8693 §2.1). At least one of `audience` and `resource`."),
    resource: webUrl
      .transform(({ href }) => href)
      .optional()
      .meta({ title: "a URL" })
      .describe("`resource` of the token (RFC 8693 §2.1): the backend's own URL."),
    scope: z.array(scope, "expected a list of scopes").default([]).describe("Scopes that are asked for."),
    client,
    ca: text("the path of a PEM file")
      .optional()
      .describe(
        "PEM file of the certificate authorities that the router trusts for `endpoint`, on its machine. Default: those of Node.js.",
      ),
    timeout: duration
      .prefault("5s")
      .describe("Longest time for one exchange. A request that needs a token waits for it. At most `30s`."),
    pause: duration
      .prefault("5s")
      .describe(
        "How long a token endpoint is not asked that has failed three users in a row. Requests that need a token are answered " +
          "by an error at once, and one request then tries it. It is not asked for so long for one user either whom it has failed.",
      ),
  })
  .describe(
    "The client's token is exchanged for one of its user at this backend (RFC 8693). Needs `identity.kind: jwt`. Tokens are kept " +
      "until they end, in memory alone (`limits.exchangedTokens`).",
  );

const written = z.strictObject({
  header: headerName
    .optional()
    .describe("Name of a header that the backend gets with the text of `file`, in place of a client's own."),
  file: text("the path of a file")
    .optional()
    .describe(
      "With `header`: file with its value, on the router's machine. A line break at its end does not count. It is read again when " +
        "it changes.",
    ),
  prefix: anyText("a text")
    .regex(/^[\t -~]*$/, "expected a text of visible characters and spaces")
    .optional()
    .describe('With `header`: stands before the text of `file`, such as `"Bearer "`. Default: nothing does.'),
  exchange: exchange.optional(),
});

function readWritten({ header, file, prefix, exchange }: z.output<typeof written>, context: z.RefinementCtx) {
  if (exchange !== undefined) {
    for (const [name, value] of Object.entries({ header, file, prefix }))
      if (value !== undefined) addFault(context, [name], "has no place beside exchange; remove one of the two");
    const { audience, resource, scope: scopes, client, ...rest } = exchange;
    const endpoint = exchange.endpoint.href;
    if (audience === undefined && resource === undefined)
      addFault(context, ["exchange"], "expected audience or resource: whom the token is for");
    return {
      kind: "exchange",
      audience,
      resource,
      scopes,
      ...rest,
      endpoint,
      client: client.kind === "key" ? { ...client, audience: client.audience ?? endpoint } : client,
      ca: exchange.ca,
    } as const;
  }
  if (header === undefined) {
    addFault(context, [], "expected header with file, or exchange");
    return z.NEVER;
  }
  if (file !== undefined) return { kind: "header", name: header, file, prefix: prefix ?? "" } as const;
  addFault(context, ["file"], "missing, expected the path of a file with the header's value");
  return z.NEVER;
}

export const credentials = z
  .union(
    [z.enum(["none", "forward"]).transform((kind) => ({ kind })), written.transform(readWritten)],
    "expected none, forward, { header: …, file: … } or { exchange: … }",
  )
  .meta({ title: "`none`, `forward`, or settings" })
  .describe(
    "What the backend is told of who calls, in place of the client's own `Authorization`: with calls, lists, streams, recovery and the end of " +
      "sessions alike. `none`: nothing. `forward`: the client's `Authorization` goes on, where audience and trust of the backend " +
      "are those of the gateway. `{ header, file, prefix }`: a header with the text of a file, the same for all clients. " +
      "`{ exchange }`: a token of each user's own. Default: `forward`; with `identity.kind: jwt` `check` warns of that.",
  );
