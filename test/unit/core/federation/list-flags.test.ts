import { expect, test } from "vitest";
import { listsToHear } from "../../../../src/core/federation/list-flags.ts";

test("a backend is asked to tell of those lists of whose changes it tells", () => {
  const all = '{"listChanged":true}';
  const hear = (capabilities: Readonly<Record<string, string>>) =>
    listsToHear({ capabilities: new Map(Object.entries(capabilities)) });
  expect(hear({ tools: all, prompts: '{"listChanged":false}', resources: all })).toBe(
    '{"toolsListChanged":true,"resourcesListChanged":true}',
  );
  expect(hear({ tools: "{}", prompts: "[]", logging: all })).toBeUndefined();
});
