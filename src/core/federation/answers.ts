/** Which responses a backend may send where it answers a message of a client: a client takes any by its id. Pure. */
import { parseJson } from "../json/parse.ts";

/** Characters of the ids that an event's id has room for. */
const LONGEST_NOTE = 256;
/** Bytes of one character that is escaped. */
const LONGEST_ESCAPE = 6;

export class Answers {
  readonly #ids: ReadonlySet<string>;
  /** Characters of the longest spelling of an id that is none of another request. */
  readonly longest: number;
  /** JSON text of the ids, by which `readAnswers` knows them; undefined where it is too long for an event's id. */
  readonly note: string | undefined;

  /** @param ids JSON texts of the ids of the requests that are answered */
  constructor(ids: readonly string[]) {
    this.#ids = new Set(ids.map((id) => String(parseJson(id))));
    this.longest = LONGEST_ESCAPE * Math.max(16, ...ids.map(({ length }) => length));
    const note = JSON.stringify([...this.#ids]);
    this.note = note.length <= LONGEST_NOTE ? note : undefined;
  }

  /**
   * Whether a response with this id, a JSON text, answers one of them, or no request at all. Some servers write a number as a text, and
   * some clients take that.
   */
  has(id: string): boolean {
    const value = parseJson(id);
    return value === null || (value !== undefined && this.#ids.has(String(value)));
  }
}

/** undefined: a text that is no note. */
export function readAnswers(note: string): Answers | undefined {
  const ids = parseJson(note);
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === "string")) return undefined;
  return new Answers(ids.map((id) => JSON.stringify(id)));
}
