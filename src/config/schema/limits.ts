/** `limits`: largest sizes of messages, and of what is kept to replay them; how often tools may be called. */
import * as z from "zod";
import { byteSize, wholeNumber } from "../values/quantities.ts";
import { callLimits } from "./call-limits.ts";

export const limitsSection = z
  .strictObject({
    body: byteSize("1GiB").prefault("4MiB").describe("Maximum size of a request body."),
    batch: wholeNumber(1, 10_000)
      .default(100)
      .describe("Maximum number of messages in a legacy batch, and with `policy` in one that a backend sends."),
    depth: wholeNumber(8, 10_000).default(128).describe("Maximum nesting of arrays and objects in a message."),
    name: byteSize("16KiB")
      .prefault("4KiB")
      .describe(
        "Maximum length of a method, and of a tool, prompt or resource name. Both become request headers, and Envoy " +
          "allows 60 KiB of headers in total.",
      ),
    initialize: byteSize("1MiB")
      .prefault("64KiB")
      .describe("Maximum size of the params of an initialize, which are stored with the session."),
    replayBody: byteSize("1GiB")
      .prefault("256KiB")
      .describe(
        "Maximum size of a request body that is kept until its request is answered, so that the request can be replayed " +
          "if its session is lost. Requests with larger bodies are not replayed.",
      ),
    replayBodies: byteSize("16GiB")
      .prefault("64MiB")
      .describe(
        "Total size of the bodies and headers that are kept for replay at the same time, in each worker process. Requests " +
          "beyond it are not replayed. One session may use a sixteenth of it, one principal a quarter.",
      ),
    recoveredAnswer: byteSize("1GiB")
      .prefault("16MiB")
      .describe(
        "Maximum size of the answer to a replayed request, also as an event stream. A longer answer is cut off. Envoy " +
          "buffers the whole answer if its client does not read.",
      ),
    recoveredAnswers: byteSize("16GiB")
      .prefault("256MiB")
      .describe(
        "Total size of the answers to replayed requests in progress, in each worker process. Further answers are cut off. " +
          "An answer no longer counts once Envoy has received it, even if Envoy still buffers it for its client. One " +
          "session may use a sixteenth of it, one principal a quarter.",
      ),
    exchangedTokens: wholeNumber(1, 10_000_000)
      .default(50_000)
      .describe(
        "Maximum number of tokens that are kept for `credentials: { exchange }`, in each worker process: one for each user at each " +
          "backend. Those used longest ago give way.",
      ),
    exchangedTokenBytes: byteSize("16GiB")
      .prefault("128MiB")
      .describe("Total size of these tokens, in each worker process. A token counts twice, and 400 bytes more."),
    unfinishedEvents: byteSize("16GiB")
      .prefault("64MiB")
      .describe(
        "Total size of the events that backends have begun and not yet ended on the streams that the router joins for " +
          "clients of federated routes (GET streams and subscriptions), in each worker process. A stream of a backend that " +
          "goes beyond it is cut off, and opened again later. One backend may use a quarter of it.",
      ),
    filteredAnswers: byteSize("16GiB")
      .prefault("128MiB")
      .describe(
        "Total size of the answers, and of unfinished events, that are held at the same time to be filtered by `policy`, in each " +
          "worker process. One principal may use a quarter of it, and so may all anonymous callers of a backend. A list beyond it is an " +
          "error to its client; answers to other requests pass as they come, while they hold no list.",
      ),
    ...callLimits,
  })
  .prefault({});
