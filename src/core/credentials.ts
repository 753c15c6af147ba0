/** What a backend is told of who calls, and which headers of a client it does not get for that. Pure. */
import { assertNever } from "./assert-never.ts";
import { AUTHORIZATION } from "./headers.ts";
import type { KeyAlgorithm } from "./key-algorithms.ts";

export type Credentials =
  /** The client's own Authorization: audience and trust of the backend are those of the gateway. */
  { readonly kind: "forward" } | { readonly kind: "none" } | HeaderCredentials | ExchangeCredentials;

/** A header with the text of a file, the same for all clients. */
export interface HeaderCredentials {
  readonly kind: "header";
  /** Lower case. */
  readonly name: string;
  readonly file: string;
  /** Stands before the file's text. */
  readonly prefix: string;
}

/** A token of each client's own, for which its token is exchanged (RFC 8693). */
export interface ExchangeCredentials {
  readonly kind: "exchange";
  /** URL of the token endpoint. */
  readonly endpoint: string;
  /** Whom the token is for (RFC 8693 §2.1): at least one of both. */
  readonly audience: string | undefined;
  readonly resource: string | undefined;
  readonly scopes: readonly string[];
  readonly client: TokenClient;
  /** PEM file of the certificate authorities that are trusted; undefined: those of Node.js. */
  readonly ca: string | undefined;
  /** ms for one exchange. */
  readonly timeout: number;
  /** ms that a token endpoint is left alone which has failed several times in a row. */
  readonly pause: number;
}

/** Who the gateway is to the token endpoint. */
export type TokenClient =
  /** RFC 6749 §2.3.1. */
  | { readonly kind: "secret"; readonly id: string; readonly file: string; readonly method: "basic" | "post" }
  /** private_key_jwt (RFC 7523). `keyId`: undefined: the assertion names none. `audience`: of the assertion. */
  | {
      readonly kind: "key";
      readonly id: string;
      readonly file: string;
      readonly alg: KeyAlgorithm;
      readonly keyId: string | undefined;
      readonly audience: string;
    };

/** A backend, as far as its credentials are concerned. */
export interface Credentialed {
  readonly name: string;
  readonly credentials: Credentials;
}

/** The only one that a client's token goes to a backend by. */
export const FORWARD: Credentials = { kind: "forward" };

const NOTHING: readonly string[] = [];
const CLIENTS_OWN: readonly string[] = [AUTHORIZATION];

/** Names of the headers that no client's copy reaches the backend of: every request to a backend is made without them. */
export function withheldBy(credentials: Credentials): readonly string[] {
  switch (credentials.kind) {
    case "forward":
      return NOTHING;
    case "none":
    case "exchange":
      return CLIENTS_OWN;
    case "header":
      return credentials.name === AUTHORIZATION ? CLIENTS_OWN : [AUTHORIZATION, credentials.name];
    default:
      return assertNever(credentials);
  }
}

/** Whether something takes the place of what the backend does not get. */
export function addsCredential({ kind }: Credentials): boolean {
  return kind === "header" || kind === "exchange";
}

/** ms that a request may have to wait for its credential. */
export function longestCredential(credentials: Credentials): number {
  return credentials.kind === "exchange" ? credentials.timeout : 0;
}

/** What a file of credentials holds. */
export type SecretKind = "header" | "client-secret" | "client-key" | "ca";

export interface SecretFile {
  readonly kind: SecretKind;
  readonly file: string;
  /** The setting that names it, below the credentials. */
  readonly setting: string;
  /** Of a key: what it signs by. */
  readonly alg?: KeyAlgorithm;
}

/** The files that the credentials of backends are made of, on the router's machine, each with its whole setting. */
export function secretFilesOf(backends: readonly Credentialed[]): readonly SecretFile[] {
  return backends.flatMap(({ name, credentials }) =>
    filesOf(credentials).map((of) => ({ ...of, setting: `backends.${name}.credentials.${of.setting}` })),
  );
}

function filesOf(credentials: Credentials): readonly SecretFile[] {
  if (credentials.kind === "header") return [{ kind: "header", file: credentials.file, setting: "file" }];
  if (credentials.kind !== "exchange") return [];
  const { client, ca } = credentials;
  const own: SecretFile =
    client.kind === "secret"
      ? { kind: "client-secret", file: client.file, setting: "exchange.client.secretFile" }
      : { kind: "client-key", file: client.file, setting: "exchange.client.keyFile", alg: client.alg };
  return ca === undefined ? [own] : [own, { kind: "ca", file: ca, setting: "exchange.ca" }];
}
