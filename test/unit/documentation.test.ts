/** What the documents say of the program, as far as a program can tell. */
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { answer, type RejectReason } from "../../src/core/reject.ts";
import { localReplies } from "../../src/envoy-config/local-replies.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { faultOf, referencesIn } from "../support/references.ts";

const ROOT = join(import.meta.dirname, "../..");
const DOCUMENTS = globSync(["*.md", "docs/**/*.md"], { cwd: ROOT });
const SOURCES = globSync(
  [
    "{src,test,bench,demo,harness,scripts,proto,k8s,envoy,examples,mk}/**/*.{ts,mjs,js,lua,sh,proto,go,py,yaml,json,mk}",
    "{.ci,.github}/**/*",
    "*.{ts,mjs,json,yaml}",
    ".*.{mjs,json,yaml}",
    "{Makefile,Dockerfile,.dockerignore,.editorconfig,.gitignore}",
  ],
  { cwd: ROOT, exclude: ["**/node_modules/**", "package-lock.json"] },
)
  // This file has wrong references, to try the check by.
  .filter((path) => path !== "test/unit/documentation.test.ts" && statSync(join(ROOT, path)).isFile());
const OPERATIONS = textOf("docs/operations.md");

function textOf(document: string): string {
  return readFileSync(join(ROOT, document), "utf8");
}

test.each(DOCUMENTS)("%s links to nothing in the repository that is not there", (document) => {
  const links = [...textOf(document).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = ""]) => link);
  expect(links.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
});

describe("a reference to a document", () => {
  test("in a source leads to a document of the repository, and to a heading that is there", () => {
    expect(SOURCES.length).toBeGreaterThan(300);
    expect(SOURCES.flatMap((file) => faultsIn(file))).toEqual([]);
  });

  test("in a document does too", () => {
    expect(DOCUMENTS.flatMap((file) => faultsIn(file))).toEqual([]);
  });

  test.each([
    ["README.md", undefined],
    ['docs/architecture.md, "One request"', undefined],
    ["docs/internals/envoy-facts.md §1", undefined],
    ["docs/internals/envoy-facts.md\n * §1", undefined],
    ["docs/internals/envoy-facts.md\n  // §99", "a.ts: docs/internals/envoy-facts.md has no §99"],
    ["docs/operations.md#sessions-that-nobody-ends", undefined],
    ["docs/operations.md#no-such", "a.ts: docs/operations.md has no #no-such"],
    ['docs/operations.md, "No such"', 'a.ts: docs/operations.md has no heading "No such"'],
    ["no-such.md §1", "a.ts: there is no no-such.md"],
    ["../elsewhere/envoy.md", "a.ts: there is no ../elsewhere/envoy.md"],
  ])("as %j is found, and is right or wrong", (text, fault) => {
    expect(referencesIn(text).map((reference) => faultOf(reference, "a.ts", ROOT))).toEqual([fault]);
  });

  function faultsIn(file: string): string[] {
    return referencesIn(textOf(file)).flatMap((reference) => faultOf(reference, file, ROOT) ?? []);
  }
});

/** `path` and `path` ("words of it", "more words"), of files of ours. */
const CITED = /`((?:src|test|bench|harness|proto|scripts|examples|k8s)\/[\w./-]+)`(?:\s\(("[^)]*")\))?/g;

// Made from the source, which it cites as a whole.
const MADE = "docs/internals/mcp-methods.md";

test.each(globSync("docs/internals/*.md", { cwd: ROOT }).filter((document) => document !== MADE))(
  "%s cites files that are there, by words that they have",
  (document) => {
    const cited = [...textOf(document).matchAll(CITED)].map(([, path = "", words = ""]) => ({
      path,
      words: [...words.matchAll(/"([^"]+)"/g)].map(([, text = ""]) => text.replace(/\s+/g, " ")),
    }));
    expect(cited.length).toBeGreaterThan(5);
    const wrong = cited.filter(
      ({ path, words }) => !existsSync(join(ROOT, path)) || !words.every((text) => textOf(path).includes(text)),
    );
    expect(wrong).toEqual([]);
  },
);

test.each(DOCUMENTS)("%s names no metric that there is not", async (document) => {
  const metrics = createMetrics();
  metrics.storeUp(true);
  metrics.sessionsCap(100);
  metrics.storeRefuses(["OOM"], () => []);
  metrics.streams(() => ({ clients: 0, backends: 0 }));
  metrics.exchangedTokens(() => 0);
  const exposed = await metrics.render();
  const named = [...textOf(document).matchAll(/mcp_router_[a-z_]+(?=[`{])/g)].map(([name]) => name);
  const unknown = named.filter((name) => !exposed.includes(`# TYPE ${name.replace(/_count$/, "")} `));
  expect(unknown).toEqual([]);
});

interface Row {
  readonly statuses: readonly string[];
  readonly code: string | undefined;
  /** How each begins. */
  readonly messages: readonly string[];
}

describe("the table of errors in docs/operations.md", () => {
  const rows: readonly Row[] = [...OPERATIONS.matchAll(/^\| (\d{3}[\d, -]*?) +\| (.*?) +\|/gm)].map(
    ([, cell = "", messages = ""]) => ({
      statuses: cell.match(/(?<!\d)\d{3}(?!\d)/g) ?? [],
      code: cell.match(/-\d{5}/)?.[0],
      messages: messages.split(", ").map((message) => message.replace("…", "").trim()),
    }),
  );
  /** Whether a row is of an answer; of Envoy's the status may be its own, whatever that is. */
  const isListed = (status: number | undefined, code: number | undefined, message: string) =>
    rows.some(
      (row) =>
        (status === undefined || row.statuses.includes(String(status))) &&
        row.code === code?.toString() &&
        row.messages.some((listed) => listed !== "" && message.startsWith(listed)),
    );

  const id = "1";
  const retryAfter = 1;
  const detail = "…";
  const ours: Readonly<Record<RejectReason, ReturnType<typeof answer>>> = {
    "host-not-allowed": answer({ reason: "host-not-allowed" }),
    "origin-not-allowed": answer({ reason: "origin-not-allowed" }),
    "no-route": answer({ reason: "no-route" }),
    "method-not-allowed": answer({ reason: "method-not-allowed" }),
    "not-acceptable": answer({ reason: "not-acceptable" }),
    "content-type": answer({ reason: "content-type" }),
    "content-encoding": answer({ reason: "content-encoding" }),
    "not-json": answer({ reason: "not-json" }),
    unauthenticated: answer({ reason: "unauthenticated", challenge: "Bearer" }),
    "insufficient-scope": answer({ reason: "insufficient-scope", challenge: "Bearer", id }),
    "body-too-large": answer({ reason: "body-too-large", id }),
    "session-unknown": answer({ reason: "session-unknown", id }),
    "session-required": answer({ reason: "session-required", id }),
    "credential-unavailable": answer({ reason: "credential-unavailable", retryAfter, id }),
    "store-unavailable": answer({ reason: "store-unavailable", id }),
    "sessions-exhausted": answer({ reason: "sessions-exhausted", retryAfter, id }),
    "principal-exhausted": answer({ reason: "principal-exhausted", retryAfter, id }),
    "anonymous-exhausted": answer({ reason: "anonymous-exhausted", retryAfter, id }),
    "initializes-exhausted": answer({ reason: "initializes-exhausted", retryAfter, id }),
    "subscriptions-exhausted": answer({ reason: "subscriptions-exhausted", retryAfter, id }),
    "calls-exhausted": answer({ reason: "calls-exhausted", retryAfter, id }),
    "limits-unavailable": answer({ reason: "limits-unavailable", id }),
    "invalid-request": answer({ reason: "invalid-request", detail, id }),
    "header-mismatch": answer({ reason: "header-mismatch", detail, id }),
    "invalid-envelope": answer({ reason: "invalid-envelope", detail, id }),
    "method-unknown": answer({ reason: "method-unknown", id }),
    "answer-lost": answer({ reason: "answer-lost", id }),
    "session-ambiguous": answer({ reason: "session-ambiguous", id }),
    "backend-unavailable": answer({ reason: "backend-unavailable", id }),
    "backend-failed": answer({ reason: "backend-failed", backend: "files", why: "status 500", id }),
    "not-offered": answer({ reason: "not-offered", what: "tool", name: "files__read", id }),
    "method-not-offered": answer({ reason: "method-not-offered", id }),
    "invalid-params": answer({ reason: "invalid-params", detail, id }),
    "no-stream": answer({ reason: "no-stream" }),
    "version-unsupported": answer({
      reason: "version-unsupported",
      supported: ["2025-11-25"],
      requested: "2026-07-28",
      id,
    }),
    "backend-redirects": answer({ reason: "backend-redirects", id }),
    internal: answer({ reason: "internal", id }),
  };

  test.each(Object.entries(ours))("has the router's answer to %s", (_, { status, body }) => {
    const text = String(body);
    const error = text.startsWith("{") ? JSON.parse(text).error : { message: text };
    expect(isListed(status, error.code, error.message)).toBe(true);
  });

  interface Mapper {
    readonly status_code?: number;
    readonly body_format_override?: { readonly text_format_source: { readonly inline_string: string } };
  }
  // Ours by what local-replies.ts makes of it.
  const { mappers } = localReplies({ identity: { kind: "none" }, limits: { calls: [] } }) as unknown as {
    readonly mappers: readonly Mapper[];
  };
  const envoys = mappers.flatMap(({ status_code, body_format_override }) =>
    body_format_override
      ? [{ status: status_code, ...JSON.parse(body_format_override.text_format_source.inline_string).error }]
      : [],
  );

  test.each(envoys)("has Envoy's answer “$message”", ({ status, code, message }) => {
    expect(isListed(status, code, message)).toBe(true);
  });
});
