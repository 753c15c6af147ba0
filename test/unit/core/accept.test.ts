import { expect, test } from "vitest";
import { acceptsEventStream } from "../../../src/core/accept.ts";

test.each([
  undefined,
  "",
  " ",
  "text/event-stream",
  "application/json, text/event-stream",
  "application/json,text/event-stream",
  "Text/Event-Stream",
  "text/event-stream;q=0.9, */*;q=0.1",
  "text/event-stream; charset=utf-8; q=0.001",
  "text/event-stream ;q=1.0",
  "*/*",
  "text/*",
  "text/html, */*;q=0.8",
  // What names it most exactly decides.
  "text/event-stream, text/*;q=0, */*;q=0",
  "*/*;q=0, text/*;q=0, text/event-stream",
  "text/*, */*;q=0",
  "text/event-stream;q=0, text/event-stream",
  "text/event-stream, text/event-stream;q=0",
])("%j takes an event stream", (accept) => {
  expect(acceptsEventStream(accept)).toBe(true);
});

test.each([
  "application/json",
  "text/html",
  "text/event-streams",
  "x-text/event-stream",
  "text/event-stream;q=0",
  "Text/Event-Stream; Q=0.000",
  "text/event-stream; q=0, */*",
  "*/*, text/*;q=0",
  "*/*;q=0",
  ",",
  '"text/event-stream"',
])("%j takes none", (accept) => {
  expect(acceptsEventStream(accept)).toBe(false);
});
