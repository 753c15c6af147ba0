/**
 * The shape of `mcp-router.yaml`, from which the processor and Envoy are configured.
 * Each setting, its unit and its default are defined in `schema/`, in one file for each section, and nowhere else.
 */
import * as z from "zod";
import { admissionSection } from "./schema/admission.ts";
import { backendSettings, backendsSection, timeoutsSection } from "./schema/backends.ts";
import { egressSection } from "./schema/egress.ts";
import { envoySection } from "./schema/envoy.ts";
import { gatewaySection } from "./schema/gateway.ts";
import { identitySection } from "./schema/identity.ts";
import { istioSection } from "./schema/istio.ts";
import { limitsSection } from "./schema/limits.ts";
import { listsSection } from "./schema/lists.ts";
import { logSection } from "./schema/log.ts";
import { policySection } from "./schema/policy.ts";
import { processorSection } from "./schema/processor.ts";
import { routesSection } from "./schema/routes.ts";
import { sessionsSection } from "./schema/sessions.ts";
import { storeSection } from "./schema/store.ts";

const schema = z.strictObject({
  gateway: gatewaySection,
  egress: egressSection,
  processor: processorSection,
  envoy: envoySection,
  store: storeSection,
  sessions: sessionsSection,
  admission: admissionSection,
  identity: identitySection,
  policy: policySection,
  istio: istioSection,
  log: logSection,
  timeouts: timeoutsSection,
  limits: limitsSection,
  lists: listsSection,
  backends: backendsSection,
  routes: routesSection,
});

/** The file's settings with defaults, each valid on its own. `checks.ts` compares them with each other. */
export type RawConfig = z.output<typeof schema>;

/** The messages of zod's issues come from `expectation` or from the value's schema. `describe.ts` makes errors of the issues. */
export function parseShape(value: unknown): z.ZodSafeParseResult<RawConfig> {
  return schema.safeParse(value, { error: expectation });
}

/** The file's settings without their short forms, of which errors and the JSON Schema do not speak. */
export function withoutShortForms(value: unknown): unknown {
  if (!isSettings(value) || !isSettings(value.backends)) return value;
  const backends = Object.entries(value.backends).map(([name, backend]) => [name, backendSettings(backend)]);
  return { ...value, backends: Object.fromEntries(backends) };
}

function isSettings(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON Schema (2020-12) of the file. `title` says what is expected of a value. */
export function jsonSchema(): object {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}

/** What was expected, if the value's schema has no message of its own. */
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === null ? "expected settings under it; remove the empty key" : "expected settings under it";
    case "invalid_value":
      return `expected one of ${issue.values.join(", ")}`;
    case "invalid_union":
      return Array.isArray(issue.options) ? `expected one of ${issue.options.join(", ")}` : undefined;
    default:
      return undefined;
  }
}
