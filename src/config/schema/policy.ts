/** `policy`: who may see and use which tools, prompts and resources. */
import * as z from "zod";
import { path } from "../values/paths.ts";
import { expecting, glob, scope, text } from "../values/text.ts";

/** One value, or a list of them. */
function oneOrMore<T extends z.ZodType>(one: T, expected: string) {
  return z
    .union(
      [one.transform((value) => [value]), z.array(one).min(1)],
      expecting(expected, () => undefined),
    )
    .meta({
      title: expected,
    });
}

const patterns = z.array(glob, "expected a list of patterns").min(1, "expected at least one pattern").optional();

/** @param does what the rule does */
function names(does: string) {
  return z
    .strictObject({
      tools: patterns.describe(
        `Tools that the rule ${does}, by patterns of the names that clients see (\`files__read\`; on a route to one backend its own ` +
          "names). `*` stands for any text.",
      ),
      prompts: patterns.describe(`The same of prompts.`),
      resources: patterns.describe(
        "The same of resources, by their URIs to the byte. Templates count by their text, and what they become by its URI.",
      ),
    })
    .optional()
    .describe(`What the rule ${does}. A rule has either \`allow\` or \`deny\`.`);
}

const value = z.union(
  [z.string(), z.number(), z.boolean()],
  expecting("a text, a number, true or false", () => undefined),
);

const claims = z
  .record(text("the name of a claim"), oneOrMore(value, "a text, a number, true or false, or a list of these"))
  .meta({ title: "claims with their values" })
  .describe(
    "Only with `identity.kind: jwt`: claims of the token, each with a value or several, as `groups: admin`. The claim must be equal to " +
      "one of them, or be a list with one of them in it. A claim within another one is named with dots: `realm_access.roles`.",
  );

const when = z
  .strictObject({
    scope: oneOrMore(scope, "a scope, or a list of scopes")
      .optional()
      .describe(
        "Only with `identity.kind: jwt`: scopes that the token must have, all of them, in its claim `scope` or `scp`. A call that only " +
          "a scope is missing for gets 403 with a challenge that names it, by which clients ask for a token that has it.",
      ),
    claim: claims.optional(),
    principal: oneOrMore(text("a principal"), "a principal, or a list of principals")
      .optional()
      .describe(
        "The principal must be one of these: `sub` of the token, or the value of the header that `identity.name` names.",
      ),
    route: oneOrMore(path, "the path of a route, or a list of paths")
      .optional()
      .describe("The rule counts on these routes alone, by their `path`."),
  })
  .optional()
  .describe("When the rule counts: all of its members must hold. Default: always.");

const rule = z.strictObject({ allow: names("allows"), deny: names("denies"), when });

export const policySection = z
  .array(rule, "expected a list of rules")
  .min(1, "expected at least one rule; remove the empty list to allow everything")
  .optional()
  .describe(
    "Who may see and use what: rules in their order, of which the first one that matches a tool, prompt or resource decides. Without " +
      "`policy` everybody may use everything. With it nobody may use what no rule allows. The rules hold for lists and for calls, on all routes.",
  );
