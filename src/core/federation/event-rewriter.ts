/** Rewrites an event stream event by event, as it passes. Pure. */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";
import { EventReader, type SseEvent } from "../sse/reader.ts";

const NOTHING = new Uint8Array(0);

/**
 * @param longest most bytes of an event that are held; a longer one is given in parts
 * @param pass gives what goes on in place of an event
 */
export function eventRewriter(longest: number, pass: (event: SseEvent) => Uint8Array): BodyRewriter {
  const reader = new EventReader(longest, "pass");
  return {
    write(chunk) {
      const events = reader.read(chunk);
      // This reader never stops.
      if (events === "too-long") return chunk;
      const [only, ...others] = events;
      if (!only) return NOTHING;
      return others.length === 0 ? pass(only) : Buffer.concat(events.map(pass));
    },
    end() {
      const last = reader.end();
      return last ? pass(last) : NOTHING;
    },
  };
}
