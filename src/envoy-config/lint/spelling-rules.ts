/** One rule on the document itself: no field stands twice, as in the .proto file and in camelCase. */
import { isJsonObject } from "../../core/json/parse.ts";
import { type Finding, found } from "./finding.ts";
import { camelCase, type ProtoView } from "./proto-view.ts";

/** Fields whose value is a map: its keys are no fields. */
const MAPS: ReadonlySet<string> = new Set([
  "map",
  "filter_metadata",
  "typed_filter_metadata",
  "typed_per_filter_config",
  "per_filter_config",
  "providers",
  "requirement_map",
  "json_format",
  "static_layer",
]);

/** proto3 JSON knows a field by either name, and Envoy merges the two: what no rule here reads, the second may say. */
export function spellingFindings(bootstrap: ProtoView): Finding[] {
  const findings: Finding[] = [];
  // Without recursion: a file may be nested deeper than a stack.
  const queue = [bootstrap];
  for (let view = queue.pop(); view; view = queue.pop()) {
    if (Array.isArray(view.value)) queue.push(...view.items());
    if (!isJsonObject(view.value)) continue;
    const isMap = MAPS.has(snake(view.field));
    for (const key of view.keys()) {
      const child = isMap ? view.key(key) : view.spelled(key);
      queue.push(child);
      const other = camelCase(key);
      if (!isMap && other !== key && Object.hasOwn(view.value, other))
        findings.push(found("spelled-twice", child, `The field is there as ${key} and as ${other}`));
    }
  }
  return findings;
}

const snake = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
