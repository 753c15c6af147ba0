/** How the runs of the public suite are compared: what fails them, and what the document says of them. */
import { describe, expect, test } from "vitest";
import { compare, type Run } from "../../conformance/compare.ts";
import { documentOf } from "../../conformance/document.ts";
import { renderTable, summarize } from "../../conformance/report.ts";
import type { Check } from "../../conformance/suite.ts";

const REQUIREMENTS = {
  revision: "2025-11-25",
  scenarios: [{ name: "ping" }, { name: "polling", notScored: "pending" }],
};
const VERSIONS = { suite: "1", router: "2", envoy: "3", node: "4", sdk: "5", other: "6" };

const SUCCESS: Check = { id: "check", status: "SUCCESS" };
const FAILURE: Check = { id: "check", status: "FAILURE", errorMessage: "no answer" };

function runOf(way: string, scenarios: Readonly<Record<string, readonly Check[]>>): Run {
  return { way, results: new Map(Object.entries(scenarios)) };
}

/** What a route comes to beside a direct run in which all is well. */
function summaryOf(scenarios: Readonly<Record<string, readonly Check[]>>, way = "transparent") {
  const direct = runOf("direct", { ping: [SUCCESS], polling: [SUCCESS] });
  const rows = compare(REQUIREMENTS, [direct, runOf(way, scenarios)]);
  return { rows, summary: summarize(rows)[1] };
}

describe("a run through a route", () => {
  test("is good when each check comes out as in the direct run", () => {
    expect(summaryOf({ ping: [SUCCESS], polling: [SUCCESS] }).summary).toMatchObject({
      ok: true,
      passed: 1,
      different: 0,
    });
  });

  test("is not good when a required scenario fails", () => {
    expect(summaryOf({ ping: [FAILURE], polling: [SUCCESS] }).summary).toMatchObject({ ok: false, passed: 0 });
  });

  test("is not good when a check of a scenario that is not scored differs", () => {
    const { rows, summary } = summaryOf({ ping: [SUCCESS], polling: [FAILURE] });
    expect(summary).toMatchObject({ ok: false, passed: 1, different: 1 });
    expect(renderTable("2025-11-25", rows)).toContain("transparent differs: check: SUCCESS → FAILURE (no answer)");
  });

  test("is not good when a scenario did not run", () => {
    const { rows, summary } = summaryOf({ ping: [SUCCESS] });
    expect(summary?.ok).toBe(false);
    expect(renderTable("2025-11-25", rows)).toContain("transparent differs: did not run");
  });

  test("is not good when a check is missing that the direct run makes twice", () => {
    const direct = runOf("direct", { ping: [SUCCESS, SUCCESS], polling: [] });
    const rows = compare(REQUIREMENTS, [direct, runOf("transparent", { ping: [SUCCESS], polling: [] })]);
    expect(summarize(rows)[1]).toMatchObject({ ok: false, different: 1 });
  });
});

describe("a difference that is known", () => {
  const scenario = "server-sse-multiple-streams";
  const requirements = { revision: "2025-11-25", scenarios: [{ name: scenario }] };
  const noted: Check = { id: "server-sse-streams-functional", status: "INFO" };
  const direct = runOf("direct", { [scenario]: [SUCCESS, { ...noted, status: "SUCCESS" }] });

  test("does not fail the run through the route that it is known of", () => {
    const rows = compare(requirements, [direct, runOf("federated", { [scenario]: [SUCCESS, noted] })]);
    expect(summarize(rows)[1]).toMatchObject({ ok: true, different: 0, known: [{ scenario }] });
  });

  test("fails the run through any other route", () => {
    const rows = compare(requirements, [direct, runOf("transparent", { [scenario]: [SUCCESS, noted] })]);
    expect(summarize(rows)[1]).toMatchObject({ ok: false, different: 1, known: [] });
  });

  test("does not excuse another check of the same scenario", () => {
    const rows = compare(requirements, [direct, runOf("federated", { [scenario]: [FAILURE, noted] })]);
    expect(summarize(rows)[1]).toMatchObject({ ok: false });
  });
});

test("the document says of each way that ran what it came to", () => {
  const { rows } = summaryOf({ ping: [SUCCESS], polling: [FAILURE] });
  const text = documentOf(VERSIONS, [{ revision: "2025-11-25", rows, summaries: summarize(rows) }]);
  expect(text).toMatch(/\| Envoy +\| 3 /);
  expect(text).toMatch(/\| 2025-11-25 \| transparent route +\| 1 of 1 +\| 1 ok, 1 failed +\| 1 /);
  expect(text).not.toContain("| 2025-11-25 | federated route");
  expect(text).toMatch(/\| polling \[pending, not scored\] \| 1 ok +\| 0 ok, 1 failed/);
});
