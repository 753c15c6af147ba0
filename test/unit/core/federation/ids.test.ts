import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { idForClient, MOST_PLACES, ownerOfId } from "../../../../src/core/federation/ids.ts";
import { createRelay } from "../../../../src/core/federation/relay.ts";

const place = fc.integer({ min: 0, max: MOST_PLACES - 1 });
const id = fc.oneof(
  fc.integer().map(String),
  fc.maxSafeInteger().map(String),
  fc.constantFrom(
    "-1",
    "1.0",
    "1e3",
    "-0",
    "9007199254740993",
    '""',
    '"0"',
    '"\\u0061"',
    '"s1-"',
    "0",
    "35184372088831",
  ),
  fc.string().map((text) => JSON.stringify(text)),
);

describe("the id of a backend's request, as a client gets it", () => {
  test("says whose it is, and gives the backend's own back, as it was written", () => {
    fc.assert(
      fc.property(place, id, (of, own) => void expect(ownerOfId(idForClient(of, own))).toEqual({ place: of, id: own })),
    );
  });

  test("is another one for each backend and each of its ids", () => {
    const pairs = fc.uniqueArray(fc.tuple(place, id), { selector: ([of, own]) => `${of} ${own}` });
    fc.assert(
      fc.property(pairs, (all) => {
        expect(new Set(all.map(([of, own]) => idForClient(of, own))).size).toBe(all.length);
      }),
    );
  });

  test("stays an integer while there is room, and is else a text that the Ruby SDK takes", () => {
    fc.assert(
      fc.property(place, id, (of, own) => void expect(idForClient(of, own)).toMatch(/^(?:\d+|"[A-Za-z0-9_-]+")$/)),
    );
    expect(idForClient(3, "0")).toBe("3");
    expect(idForClient(255, "35184372088831")).toBe(String(Number.MAX_SAFE_INTEGER));
    expect(idForClient(0, "35184372088832")).toMatch(/^"/);
  });

  test.each(["-1", "1.5", '"x"', '"s1-!"', '"s999-MA"', '"s1-MA=="', "null", "9007199254740993", '"s01-MQ"'])(
    "is never %s",
    (other) => {
      expect(ownerOfId(other)).toBeUndefined();
    },
  );
});

describe("the relay of a backend's events", () => {
  const request = '{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"n":9007199254740993}}';
  const relay = (stream: string, cuts: readonly number[] = []) => {
    const bytes = Buffer.from(stream);
    const rewriter = createRelay(2, 100);
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      pieces.push(rewriter.write(bytes.subarray(at, cut)));
      at = cut;
    }
    return Buffer.concat([...pieces, rewriter.end()]).toString();
  };

  test("gives a request of the backend an id that says whose it is, and changes nothing else", () => {
    const stream = `: hello\nid: 1\nevent: message\ndata: ${request}\n\n`;
    expect(relay(stream)).toBe(stream.replace('"id":0', '"id":2'));
  });

  test("leaves results, errors, notifications and other events as they are", () => {
    const stream = [
      'data: {"jsonrpc":"2.0","id":0,"result":{"method":"x"}}\n\n',
      'data: {"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\\"method\\""}}\r\n\r\n',
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\r\r',
      'data: no "method" JSON\n\n',
      'data: {"id":1,\ndata: "method":"ping"}\n\n',
      "retry: 100\n\n",
    ].join("");
    expect(relay(stream)).toBe(stream);
  });

  test("changes the token by which the backend hears of progress, and the id that it cancels", () => {
    const asks = '{"id":"a","method":"sampling/createMessage","params":{"_meta":{"progressToken":7}}}';
    const cancels = '{"method":"notifications/cancelled","params":{"requestId":0}}';
    const other = '{"method":"notifications/progress","params":{"requestId":0,"progressToken":1}}';
    expect(relay(`data: ${asks}\n\ndata: ${cancels}\n\ndata: ${other}\n\n`)).toBe(
      `data: ${asks.replace('"a"', idForClient(2, '"a"')).replace(":7", `:${idForClient(2, "7")}`)}\n\n` +
        `data: ${cancels.replace(":0", ":2")}\n\ndata: ${other}\n\n`,
    );
  });

  test("comes to the same wherever the stream is cut", () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const stream = `\ufeff: c${end}id: 7${end}data: ${request}${end}${end}data: {"id":1,"result":{}}${end}${end}`;
      const whole = relay(stream);
      expect(whole).toBe(stream.replace('"id":0', '"id":2'));
      for (let cut = 1; cut < Buffer.byteLength(stream); cut++) expect(relay(stream, [cut])).toBe(whole);
    }
  });

  test("gives an event back that its end has cut off, and one that is longer than it holds", () => {
    expect(relay(`data: ${request}`)).toBe(`data: ${request.replace('"id":0', '"id":2')}`);
    const long = `data: {"id":0,"method":"${"x".repeat(5 * 1024 * 1024)}"}\n\n`;
    const after = `data: ${request}\n\n`;
    expect(relay(long + after, [1_000_000, 4_500_000]) === long + after.replace('"id":0', '"id":2')).toBe(true);
  });
});
