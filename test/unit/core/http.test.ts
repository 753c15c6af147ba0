import { expect, test } from "vitest";
import { isSuccess, namesEventStream } from "../../../src/core/http.ts";

test.each(["200", "202", "204", "299", 200, 299])("%j says that a request was taken", (status) => {
  expect(isSuccess(status)).toBe(true);
});

test.each([undefined, "", "100", "199", "300", "404", "2xx", 199, 300, 503])("%j does not say so", (status) => {
  expect(isSuccess(status)).toBe(false);
});

test.each(["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream", " TEXT/event-stream"])(
  "%j is the type of an event stream",
  (type) => {
    expect(namesEventStream(type)).toBe(true);
  },
);

test.each([undefined, "", "application/json", "application/x;a=text/event-stream"])("%j is not", (type) => {
  expect(namesEventStream(type)).toBe(false);
});
