/** What `check --live` says of the router, and of the Envoys that follow it. */
import { expect, test } from "vitest";
import type { RouterSays } from "../../../src/check/router.ts";
import { routerFindings } from "../../../src/check/router-report.ts";
import type { ConfigurationReport, LastChange } from "../../../src/discovery/report.ts";

const AT = "http://127.0.0.1:9090";
const SECTIONS = { backends: "b1", routes: "r1" };

function findings(says: Partial<RouterSays>, report: Partial<ConfigurationReport> = {}) {
  const configuration: ConfigurationReport = {
    version: "1.0.0",
    sections: SECTIONS,
    lastChange: "in-force",
    needRestart: [],
    envoys: [],
    moreEnvoys: 0,
    ...report,
  };
  const said = routerFindings(
    { at: AT, ready: true, troubles: [], configuration, ...says },
    { sections: SECTIONS, version: "1.0.0" },
  );
  return said.map(({ kind, text }) => `${kind}: ${text}`);
}

const envoy = (over: Partial<ConfigurationReport["envoys"][number]> = {}) => ({
  envoy: "e at 10.0.0.1",
  asked: 210,
  follows: true,
  lacks: [],
  given: [],
  ...over,
});

test("a pair that agrees is told in lines", () => {
  expect(findings({}, { envoys: [envoy()] })).toEqual([
    `line: router: runs, and is ready (${AT}/readyz)`,
    "line: router: has this file in force",
    "line: Envoy e at 10.0.0.1: has what the router offers (asked 0.2 s ago)",
  ]);
});

test("an Envoy that was just given something may take it yet", () => {
  expect(findings({}, { envoys: [envoy({ given: ["clusters"] })] }).at(-1)).toBe(
    "line: Envoy e at 10.0.0.1: was just given what the router offers (asked 0.2 s ago)",
  );
});

test("a router that does not answer is no error: the check may run on another machine", () => {
  expect(findings({ ready: undefined, troubles: ["connect ECONNREFUSED"], configuration: undefined })).toEqual([
    `warning: the router does not answer at ${AT}/readyz (processor.http): connect ECONNREFUSED`,
  ]);
});

test("one that is not ready, and its troubles, are warned of", () => {
  expect(findings({ ready: false, troubles: ["the store is away"], configuration: undefined })).toEqual([
    `warning: the router runs, and is not ready: ${AT}/readyz does not answer 200`,
    `warning: router: the store is away (${AT}/readyz)`,
    `warning: the router does not tell what it has in force: ${AT}/configuration has no answer of this version`,
  ]);
});

test.each<[LastChange, RegExp]>([
  ["in-force", /has another file in force: give it this one .*: it differs in backends, limits$/],
  ["waiting", /waits for Envoys: check again in 30 s: it differs in backends, limits$/],
  ["refused", /an Envoy refuses what it makes of it: Envoy's own log says why/],
  ["invalid", /has refused, and goes on with the one before: its log says why/],
  ["unreadable", /cannot read its file, and goes on with the one before: its log says why/],
  ["fault", /failed to put its file in force.*restart it/],
])("where another file is in force, last change %s, the error says why and what to do", (lastChange, expected) => {
  const said = findings({}, { lastChange, sections: { backends: "b0", routes: "r1", limits: "l" } });
  expect(said).toHaveLength(2);
  expect(said[1]).toMatch(/^error: the router/);
  expect(said[1]).toMatch(expected);
});

test("settings that need a restart are an error, and another version of the program is warned of", () => {
  expect(findings({}, { needRestart: ["processor"], version: "0.9.0" }).slice(1)).toEqual([
    "warning: the router is version 0.9.0, and this command 1.0.0",
    "line: router: has this file in force",
    "error: the router goes on with what it has read at its start of processor: restart it",
  ]);
});

test("an Envoy that follows and lacks something is an error; one that has never followed is warned of", () => {
  const envoys = [envoy({ lacks: ["clusters", "listeners"] }), envoy({ follows: false, lacks: ["clusters"] })];
  expect(findings({}, { envoys, moreEnvoys: 3 }).slice(2)).toEqual([
    "error: Envoy e at 10.0.0.1 does not have what the router offers of clusters, listeners (asked 0.2 s ago): check again in 30 s; where it stays so, Envoy's own log says why",
    "warning: Envoy e at 10.0.0.1 has taken nothing of this router (asked 0.2 s ago: clusters): it may be too old, or no Envoy; its own log says why",
    `warning: 3 more Envoys ask the router at ${AT}`,
  ]);
});

test("nothing that a router says can write to the terminal", () => {
  const evil = "\u001b[2J\r\n\u202e";
  const all = [
    ...findings({ troubles: [evil] }, { version: evil, needRestart: [evil], sections: { [evil]: "x" } }),
    ...findings({}, { envoys: [envoy({ envoy: evil, lacks: [evil] })] }),
    ...findings({ ready: undefined, troubles: [evil] }),
  ];
  expect(all.join("")).not.toMatch(/[\p{Cc}\u202e]/u);
});
