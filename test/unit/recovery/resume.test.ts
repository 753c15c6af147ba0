import { expect, test } from "vitest";
import type { Recovery } from "../../../src/recovery/recover.ts";
import { createResume } from "../../../src/recovery/resume.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { type Binding, parkedBinding } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { ROUTE } from "../core/policy.ts";

const key = sessionKey(mintSessionId());
const binding = parkedBinding({ sessionId: "old", endpoint: "10.0.0.1:80", generation: 2 });
const another: Binding = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 3 };
const never = new AbortController().signal;

type Loss = Parameters<Recovery["recover"]>[0];

/** Resumes by a recovery that ends so. */
async function resume(
  outcome: Awaited<ReturnType<Recovery["recover"]>>,
  headers: Readonly<Record<string, string>> = {},
  why: "parked" | "lost" = "parked",
) {
  const asked: Loss[] = [];
  const recover: Recovery["recover"] = async (loss) => {
    asked.push(loss);
    return outcome;
  };
  const all = fields({
    ":method": "POST",
    authorization: "Bearer ada",
    "mcp-protocol-version": "2025-06-18",
    ...headers,
  });
  return { resumed: await createResume({ recover })({ route: ROUTE, headers: all, key, binding, why }, never), asked };
}

test("one that the backend seems to have lost is asked for first", async () => {
  const { resumed, asked } = await resume({ kind: "recovered", binding: another, listenAgain: 100 }, {}, "lost");
  expect(resumed).toMatchObject({ kind: "resumed", binding: another });
  expect(asked).toMatchObject([{ suspicion: "probe", status: 404, used: binding }]);
});

test("a parked session is begun anew by the client's own headers, without asking for the one that was ended", async () => {
  const { resumed, asked } = await resume({ kind: "recovered", binding: another, listenAgain: 100 });
  expect(resumed).toEqual({ kind: "resumed", binding: another, cookie: undefined });
  expect(asked).toEqual([
    expect.objectContaining({
      suspicion: "parked",
      key,
      used: binding,
      answeredBy: binding.endpoint,
      version: "2025-06-18",
      backend: ROUTE.backend,
      query: "",
      headers: expect.arrayContaining([["authorization", "Bearer ada"]]),
    }),
  ]);
});

test("its request goes on by the session that another has begun meanwhile", async () => {
  expect((await resume({ kind: "joined", binding: another })).resumed).toEqual({
    kind: "resumed",
    binding: another,
    cookie: undefined,
  });
});

test("its request carries the cookies that the new session wants, beside the client's", async () => {
  const outcome = { kind: "recovered", binding: another, listenAgain: 100, setCookies: ["LB=2; Path=/"] } as const;
  expect((await resume(outcome, { cookie: "LB=1; mine=1" })).resumed).toMatchObject({ cookie: "LB=2; mine=1" });
});

test.each([{ kind: "failed", why: { reason: "status", status: 401 }, passes: false }, { kind: "left" }] as const)(
  "there is none where the recovery comes to %j",
  async (outcome) => {
    expect((await resume(outcome)).resumed).toEqual({ kind: "none" });
  },
);

test.each([
  [{ kind: "store-away" }, "store-away"],
  [{ kind: "no-credential", retryAfter: 1 }, "no-credential"],
  [{ kind: "braked", why: "retry-after", wait: 5_000 }, "backend-away"],
  [{ kind: "failed", why: { reason: "status", status: 503 }, passes: true }, "backend-away"],
] as const)("there may be one later where the recovery comes to %j", async (outcome, kind) => {
  expect((await resume(outcome)).resumed).toMatchObject({ kind });
});
