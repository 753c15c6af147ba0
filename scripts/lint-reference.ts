/**
 * Writes docs/envoy-checks.md to stdout: each mistake that `mcp-router check --envoy` finds, from the rules of the lint.
 *
 *     node scripts/lint-reference.ts
 */
import { pathToFileURL } from "node:url";
import { MISTAKES, type MistakeId, ruleOf } from "../src/envoy-config/lint/rules.ts";

const HEAD = `# What \`check\` finds in an Envoy configuration

Every mistake that \`mcp-router check --config mcp-router.yaml --envoy envoy.yaml\` knows. Made by \`make generate\` from
[the rules](../src/envoy-config/lint/rules.ts). How to read its output: [With an Envoy of your own](../docs/envoy.md#what-check-says).

A finding names its place, what the file says there, what that breaks, what to write instead, and its rule. Names in angle
brackets stand for values of your configuration, which the finding fills in.

- \`error\`: requests fail, go astray, or pass unchecked. The command exits with 1.
- \`warning\`: they may, under load or when something is lost.

| rule | severity | what breaks | instead |
|---|---|---|---|
`;

/** The whole page. */
export function lintReference(): string {
  // Object.keys gives the keys of MISTAKES, and TypeScript calls them text.
  const ids = Object.keys(MISTAKES) as MistakeId[];
  const rows = ids.map((id) => {
    const { severity, breaks, fix } = MISTAKES[id];
    const cells = [`\`${ruleOf(id)}\``, severity, breaks, fix];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  });
  return HEAD + rows.join("");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.stdout.write(lintReference());
