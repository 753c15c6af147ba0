/** Limits on the size of the sources. Biome holds the length of functions: noExcessiveLinesPerFunction in biome.json. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ClassDeclaration, type ClassExpression, type ClassMember, parseSync } from "@swc/core";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const SOURCES = globSync("src/**/*.{ts,lua}", { cwd: ROOT }).sort();

const MAX_LINES = 300;
/** For single files. */
const MAX_LINES_OF: Readonly<Record<string, number>> = { "src/gateway/gateway.ts": 120 };
const MAX_MUTABLE_FIELDS = 4;

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function linesOf(text: string): number {
  return text.split("\n").length - 1;
}

/** A comment at the head of a long file that begins a sentence with "Long because" gives the reason. */
function givesReason(text: string): boolean {
  return /^(?:#!.*\n)?\/\*\*(?:(?!\*\/)[\s\S])*\bLong because\b/.test(text);
}

/** Each class that has more mutable fields than it may. */
function crowdedClasses(text: string): string[] {
  const crowded: string[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const child of node) visit(child);
    else if (typeof node === "object" && node !== null) {
      if (isClass(node)) {
        const mutable = node.body.filter(isMutableField).length;
        if (mutable > MAX_MUTABLE_FIELDS) crowded.push(node.identifier?.value ?? "a class");
      }
      for (const child of Object.values(node)) visit(child);
    }
  };
  visit(parseSync(text, { syntax: "typescript" }).body);
  return crowded;
}

function isClass(node: object): node is ClassDeclaration | ClassExpression {
  return "type" in node && (node.type === "ClassDeclaration" || node.type === "ClassExpression");
}

function isMutableField(member: ClassMember): boolean {
  return (member.type === "ClassProperty" || member.type === "PrivateProperty") && !member.readonly && !member.isStatic;
}

test("a source has at most 300 lines, or gives the reason at its head; gateway.ts has at most 120", () => {
  expect(SOURCES.length).toBeGreaterThan(200);
  const long = SOURCES.filter((file) => {
    const text = textOf(file);
    const most = MAX_LINES_OF[file];
    return most === undefined ? linesOf(text) > MAX_LINES && !givesReason(text) : linesOf(text) > most;
  });
  expect(long).toEqual([]);
});

test("a class has at most four mutable fields", () => {
  const files = SOURCES.filter((file) => file.endsWith(".ts"));
  expect(files.flatMap((file) => crowdedClasses(textOf(file)).map((name) => `${file}: ${name}`))).toEqual([]);
});

describe("the limits see", () => {
  test.each([
    ["/** A scanner. Long because each state is a case. */\n", true],
    ["#!/usr/bin/env node\n/**\n * The command line.\n *\n * Long because it has all commands.\n */\n", true],
    ["/** A scanner. */\n/** Long because each state is a case. */\n", false],
    ["const because = 1;\n", false],
  ])("a reason in %j: %s", (text, given) => {
    expect(givesReason(text)).toBe(given);
  });

  test.each([
    ["class A { #a = 1; #b; c?: number; private d = 0; readonly #e = 2; static f = 3; g() {} }", []],
    ["class A { #a = 1; #b; c?: number; private d = 0; declare h: string; readonly e = 2 }", ["A"]],
    ["const make = () => class { a; b; c; d; e; }", ["a class"]],
  ])("the mutable fields in %j", (text, crowded) => {
    expect(crowdedClasses(text)).toEqual(crowded);
  });
});
