/** What a message is about: the tool, prompt, resource or task that it names. Pure. */
import type { StringAt } from "../json/span.ts";
import type { Message } from "../rpc/message.ts";
import { METHODS, type Method } from "./methods.ts";

/** The member of `params` that names what a method is about. */
export interface Subject {
  readonly member: "name" | "uri" | "taskId";
  /** Whether a modern client must repeat it in the Mcp-Name header (SEP-2243 "Standard Request Headers", SEP-2663). */
  readonly mirrored: boolean;
}

/** The methods that are about one named thing. A Map, since a method is the client's text and may be "constructor". */
export const SUBJECTS: ReadonlyMap<string, Subject> = new Map(METHODS.flatMap(subjectIn));

function subjectIn({ method, from, treatment, mirrored }: Method): readonly (readonly [string, Subject])[] {
  if (from !== "client" || treatment.kind !== "one") return [];
  const [, member, ...deeper] = treatment.by;
  if (deeper.length > 0 || (member !== "name" && member !== "uri" && member !== "taskId")) return [];
  return [[method, { member, mirrored }]];
}

/** The name of what a message is about; undefined where its method has none, or it is no string. */
export function subjectOf(message: Message): StringAt | undefined {
  if (message.kind === "response") return undefined;
  const subject = SUBJECTS.get(message.method);
  return subject && message.params?.[subject.member];
}
