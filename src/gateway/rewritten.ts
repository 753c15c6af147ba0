/** What stages of an answer share that rewrite its body. */
import type { BodyRewriter, Reply, Verdict } from "../core/http.ts";

/** A verdict by which the answer goes on as it came, but for its headers. */
export type Passing = Extract<Verdict, { kind: "continue" | "mutate" }>;

/** Has the body rewritten as well. */
export function rewritten(verdict: Passing, rewriter: BodyRewriter): Extract<Verdict, { kind: "rewrite" }> {
  const { set, remove } = verdict.kind === "mutate" ? verdict : { set: [], remove: [] };
  return { kind: "rewrite", set, remove, rewriter };
}

/** What the one has written, the other one rewrites. */
export function inTurn(one: BodyRewriter, other: BodyRewriter): BodyRewriter {
  return {
    write: (chunk) => other.write(one.write(chunk)),
    end: () => Buffer.concat([other.write(one.end()), other.end()]),
  };
}

/** A body that is there as a whole, rewritten. */
export function wholly(rewriter: BodyRewriter, body: Reply["body"]): Buffer {
  return Buffer.concat([rewriter.write(Buffer.from(body)), rewriter.end()]);
}

/** A body of our own, rewritten as it comes. */
export async function* through(
  rewriter: BodyRewriter,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    const written = rewriter.write(chunk);
    if (written.length > 0) yield written;
  }
  const rest = rewriter.end();
  if (rest.length > 0) yield rest;
}
