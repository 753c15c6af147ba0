/** `limits`: largest sizes of messages, and of what is kept to replay them. */
import * as z from "zod";
import { byteSize, wholeNumber } from "../values/quantities.ts";

export const limitsSection = z
  .strictObject({
    body: byteSize("1GiB").prefault("4MiB").describe("Largest request body, in bytes."),
    batch: wholeNumber(1, 10_000).default(100).describe("Most messages in one legacy batch."),
    depth: wholeNumber(8, 10_000).default(128).describe("Deepest nesting of arrays and objects in a message."),
    name: byteSize("16KiB")
      .prefault("4KiB")
      .describe(
        "Longest method, and longest tool, prompt or resource name, in bytes: both become request " +
          "headers, of which Envoy takes 60 KiB in all.",
      ),
    initialize: byteSize("1MiB")
      .prefault("64KiB")
      .describe("Largest params of an initialize, in bytes: a session keeps them."),
    replayBody: byteSize("1GiB")
      .prefault("256KiB")
      .describe("Largest body that is kept until its request is answered, to be sent again if its session is lost."),
    replayBodies: byteSize("16GiB")
      .prefault("64MiB")
      .describe(
        "What is kept at once of all requests, bodies and headers, in each process of a router. Requests " +
          "beyond it are not sent again. One session keeps a sixteenth of it at most, and one principal a quarter.",
      ),
    recoveredAnswer: byteSize("1GiB")
      .prefault("16MiB")
      .describe(
        "Largest answer to a request that was sent again, event streams too; what is longer is cut " +
          "off. Envoy holds all of it for a client that does not read.",
      ),
    recoveredAnswers: byteSize("16GiB")
      .prefault("256MiB")
      .describe(
        "The same of all such answers that are under way at once, in each process of a router. Those beyond it are cut off " +
          "as well. One that Envoy has all of counts no longer, though Envoy may still hold it for its client. Shares as of `replayBodies`.",
      ),
  })
  .prefault({});
