/** Rewrites an event stream event by event, as it passes. Pure. */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";
import { EventReader, type SseEvent } from "../sse/reader.ts";

const NOTHING = new Uint8Array(0);

/**
 * @param longest most bytes of an event that are held; a longer one is given in parts
 * @param pass gives what goes on in place of an event
 * @param hold told how many bytes are held now. Returns whether there is room; without it what is held is given as a part
 */
export function eventRewriter(
  longest: number,
  pass: (event: SseEvent) => Uint8Array,
  hold: (bytes: number) => boolean = () => true,
): BodyRewriter {
  const reader = new EventReader(longest, "pass");
  return {
    write(chunk) {
      const events = reader.read(chunk);
      // This reader never stops.
      if (events === "too-long") return chunk;
      const part = hold(reader.held.length) ? undefined : reader.letGo();
      if (part) {
        hold(0);
        return Buffer.concat([...events, part].map(pass));
      }
      const [only, ...others] = events;
      if (!only) return NOTHING;
      return others.length === 0 ? pass(only) : Buffer.concat(events.map(pass));
    },
    end() {
      const last = reader.end();
      hold(0);
      return last ? pass(last) : NOTHING;
    },
  };
}
