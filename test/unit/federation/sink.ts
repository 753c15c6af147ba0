/** The client's end of a stream: what has come there, and whether it reads. */
import type { StreamSink } from "../../../src/core/streams.ts";

/** @param onOver the connection is gone */
export function createSink(onOver: () => void = () => undefined) {
  let text = "";
  let unread = 0;
  let drain = Promise.withResolvers<void>();
  let state: "open" | "ended" | "cut" = "open";
  const sink: StreamSink = {
    get unread() {
      return unread;
    },
    drained: () => drain.promise,
    write(bytes) {
      if (state === "open") text += Buffer.from(bytes).toString();
    },
    end() {
      state = "ended";
      // One that does not read keeps its connection.
      if (unread === 0) onOver();
    },
    cut() {
      state = "cut";
      onOver();
    },
  };
  return {
    sink,
    text: () => text,
    state: () => state,
    /** So many bytes are not read from now on; 0: all are. */
    fill(bytes: number) {
      unread = bytes;
      if (bytes > 0) return;
      drain.resolve();
      drain = Promise.withResolvers();
    },
  };
}
