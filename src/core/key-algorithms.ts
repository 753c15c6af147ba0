/** Algorithms by which a client signs who it is (RFC 7518 §3.1, RFC 8037). */
export const KEY_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256", "EdDSA"] as const;

export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];
