/** An issuer of tokens (RFC 7519) whose keys Envoy gets as a file. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

type Algorithm = "RS256" | "ES256";

export interface Issuer {
  /** JSON Web Key Set (RFC 7517) with the public keys. */
  readonly jwks: string;
  /** Signs a token of these claims, over an issuer, an audience and an hour to live. */
  token(claims: Readonly<Record<string, unknown>>, algorithm?: Algorithm): string;
}

/** Makes an issuer with fresh keys; two of the same name are one and its forger. */
export function createIssuer(name: string, audience: string): Issuer {
  const keys: Record<Algorithm, { publicKey: KeyObject; privateKey: KeyObject }> = {
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  };
  return {
    jwks: JSON.stringify({
      keys: Object.entries(keys).map(([alg, { publicKey }]) => ({
        ...publicKey.export({ format: "jwk" }),
        kid: alg,
        use: "sig",
        alg,
      })),
    }),
    token(claims, algorithm = "RS256") {
      const issued = Math.floor(Date.now() / 1000);
      const payload = { iss: name, aud: audience, iat: issued, exp: issued + 3600, ...claims };
      const signed = `${encode({ alg: algorithm, typ: "JWT", kid: algorithm })}.${encode(payload)}`;
      const key = keys[algorithm].privateKey;
      // ES256 is r and s side by side (RFC 7518 §3.4), not DER.
      return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
    },
  };
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
