/** Puts the credentials of a backend into what is sent to it. Pure. */
import { type Credentials, withheldBy } from "./credentials.ts";
import type { Header, Verdict } from "./http.ts";

/** The headers of a call of ours: those of the client without what is withheld, and what takes the place of that. */
export function withCredential(
  headers: readonly Header[],
  credentials: Credentials,
  credential: readonly Header[],
): readonly Header[] {
  const withheld = withheldBy(credentials);
  if (withheld.length === 0) return headers;
  return [...headers.filter(([name]) => !withheld.includes(name)), ...credential];
}

/** The same of a request that Envoy sends: forward.ts has the withheld headers removed. */
export function addCredential(
  verdict: Extract<Verdict, { kind: "mutate" }>,
  credential: readonly Header[],
): Extract<Verdict, { kind: "mutate" }> {
  if (credential.length === 0) return verdict;
  const remove = verdict.remove.filter((name) => !credential.some(([added]) => added === name));
  return { ...verdict, set: [...verdict.set, ...credential], remove };
}
