/**
 * What reading the worst bodies costs, as a multiple of an ordinary one of the same size: the router has one thread, and
 * whoever may send a POST chooses its shape. In this process, `decide()` alone, on bodies of `limits.body` and of a small
 * size. Ends with 1 when a shape is above the target.
 *
 *   node bench/bodies.ts
 */
import { Buffer } from "node:buffer";
import { classifyMessage } from "../src/core/classify-message.ts";
import type { HeaderFields, HeaderNames } from "../src/core/http.ts";
import type { RequestPolicy } from "../src/core/routes.ts";
import { median } from "./statistics.ts";

/** Time of a shape over that of an ordinary body. */
const TARGET = 3;
const RUNS = 15;
const WARM_UPS = 200;
/** Bytes of a body that V8 is warmed up with: as most that a router sees, it ends before V8 compiles the loop that reads it. */
const SMALL = 16 * 1024;
/** The defaults. */
const LIMITS: RequestPolicy["limits"] = {
  body: 4 * 1024 * 1024,
  batch: 100,
  depth: 128,
  name: 4 * 1024,
  initialize: 64 * 1024,
  replayBody: 256 * 1024,
  recoveredAnswer: 16 * 1024 * 1024,
  filteredAnswers: 1,
  unfinishedEvents: 64 * 1024 * 1024,
};
/** Room for what stands around a filling. */
const AROUND = 512;

interface Given {
  readonly bytes: Buffer;
  readonly fields: HeaderFields;
  readonly times: number;
}

/** A body of about `size` bytes, and the headers that it comes with. */
type Shape = (size: number) => { readonly text: string; readonly headers?: Readonly<Record<string, string>> };

const VERSION = "io.modelcontextprotocol/protocolVersion";
/** Found out in its last character only, after an escape where names of the envelope part. */
const ALMOST_VERSION = VERSION.replace("/p", "/\\u0070").replace(/n$/, "m");
const MODERN = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call" };

/** As most large ones are: records with texts and numbers in them. */
const RECORD =
  '{"id":1042,"name":"Grace Hopper","email":"grace@example.com","active":true,"scores":[97.5,88,91],' +
  '"address":{"city":"Arlington","zip":22201},"tags":["navy","cobol"],' +
  '"note":"It is easier to ask \\"forgiveness\\" than it is to get permission.\\n"},';
const ordinary: Shape = (size) => call(`"name":"echo","arguments":{"records":[${fill(RECORD, size)}0]}`);

const SHAPES: Readonly<Record<string, Shape>> = {
  "a name of %": (size) => call(`"name":"${fill("%", size)}"`),
  "a name of spaces": (size) => call(`"name":"${fill(" ", size)}"`),
  "a name of é": (size) => call(`"name":"${fill("é", size)}"`),
  "a name of emoji": (size) => call(`"name":"${fill("😀", size)}"`),
  "a name of escaped letters": (size) => call(`"name":"${fill("\\u0061", size)}"`),
  "a name of half surrogates": (size) => call(`"name":"${fill("\\ud800", size)}"`),
  "a name of % as long as may be": (size) =>
    call(`"name":"${fill("%", LIMITS.name / 3)}","a":"${fill("x", size - LIMITS.name)}"`),
  "a method of %": (size) => message(`"method":"${fill("%", size)}"`),
  "a method of spaces": (size) => message(`"method":"${fill(" ", size)}"`),
  "a method of spaces as long as may be": (size) =>
    message(`"method":"${fill(" ", LIMITS.name)}","a":"${fill("x", size - LIMITS.name)}"`),
  "a batch of methods of %": (size) => batch(size, (each) => `"method":"${fill("%", each)}"`),
  "a batch of methods of % as long as may be": () =>
    batch(LIMITS.batch * LIMITS.name, (each) => `"method":"${fill("%", each / 3)}"`),
  "a batch of names of %": (size) =>
    batch(size, (each) => `"method":"tools/call","params":{"name":"${fill("%", each)}"}`),
  "a batch of many small messages": (size) => ({ text: `[${fill('{"jsonrpc":"2.0","method":"m"},', size)}1]` }),
  "deep arrays": (size) => call(`"a":${fill("[", size / 2)}${fill("]", size / 2)}`),
  "deep objects": (size) => call(`"a":${fill('{"a":', (size * 5) / 6)}1${fill("}", size / 6)}`),
  "deep arrays in objects": (size) => call(`"a":${fill('[{"":', (size * 5) / 7)}1${fill("}]", (size * 2) / 7)}`),
  "small arrays": (size) => call(`"a":[${fill("[],", size)}1]`),
  numbers: (size) => call(`"a":[${fill("1,", size)}1]`),
  "many keys": (size) => message(`"method":"m",${fill('"k":1,', size)}"z":1`),
  "many empty keys": (size) => message(`"method":"m",${fill('"":1,', size)}"z":1`),
  "many keys in params": (size) => call(`${fill('"k":1,', size)}"z":1`),
  "escaped keys": (size) => message(`"method":"m",${fill('"\\u0061":1,', size)}"z":1`),
  "escaped keys in params": (size) => call(`${fill('"\\u0061":1,', size)}"z":1`),
  "keys that are almost ours, escaped": (size) => call(`${fill('"n\\u0061mf":1,', size)}"z":1`),
  "keys of é": (size) => message(`"method":"m",${fill('"é":1,', size)}"z":1`),
  "our own keys": (size) => call(`${fill('"name":"x",', size)}"z":1`),
  "our own keys, escaped": (size) => call(`${fill('"n\\u0061me":"x",', size)}"z":1`),
  "our own keys in other case": (size) => call(`${fill('"Name":"x",', size)}"z":1`),
  "our own keys of a message in other case": (size) => message(`"method":"m",${fill('"Method":"x",', size)}"z":1`),
  ids: (size) => message(`"method":"m",${fill('"id":1,', size)}"z":1`),
  "keys of U+0000": (size) => call(`${fill('"name\\u0000":1,', size)}"z":1`),
  "one key": (size) => call(`"${fill("k", size)}":1`),
  "one escaped key": (size) => call(`"${fill("\\u0061", size)}":1`),
  "a value of escapes": (size) => call(`"a":"${fill("\\n", size)}"`),
  "white space": (size) => call(`"a":${fill(" ", size)}1`),
  "a long id": (size) => ({ text: `{"jsonrpc":"2.0","method":"ping","id":"${fill("i", size)}"}` }),
  "a long id of a body that is refused": (size) => ({
    text: `{"jsonrpc":"2.0","id":"${fill("i", size)}","method":"m","method":"m"}`,
  }),
  "an id of digits": (size) => ({ text: `{"jsonrpc":"2.0","method":"ping","id":${fill("1", size)}}` }),
  "a long uri": (size) => message(`"method":"resources/subscribe","params":{"uri":"${fill("é", size)}"}`),
  "a long protocolVersion": (size) =>
    message(`"method":"initialize","params":{"protocolVersion":"${fill("é", size)}"}`),
  "a long version in _meta": (size) => call(`"name":"x","_meta":{"${VERSION}":"${fill("\\u0061", size)}"}`),
  "many keys in _meta": (size) => call(`"_meta":{${fill('"k":1,', size)}"z":1}`),
  "escaped keys in _meta": (size) => call(`"_meta":{${fill('"io.modelcontextprotocol/\\u0061":1,', size)}"z":1}`),
  "keys in _meta that are almost ours, escaped": (size) =>
    call(`"_meta":{${fill(`"${ALMOST_VERSION}":1,`, size)}"z":1}`),
  "a name in Mcp-Name, in base64": (size) => ({
    ...call(
      `"name":"x","a":"${fill("x", size)}","_meta":{"${VERSION}":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`,
    ),
    headers: { ...MODERN, "mcp-name": `=?base64?${fill("AAAA", 50 * 1024)}?=` },
  }),
};

const ORDINARY = "an ordinary body";
const cases = Object.entries(SHAPES).map(([name, shape]) => ({ name, shape }));
// V8 compiles for the shapes that it has seen. A router has seen them all, so each is read often before any is measured.
const small = [ordinary, ...Object.values(SHAPES)].map((shape) => bodyOf(shape, SMALL));
for (let n = 0; n < WARM_UPS; n++) for (const body of small) read({ ...body, times: 1 });
const results = cases.map(({ name, shape }) => ({ name, ...measure(shape) }));
results.sort((a, b) => b.ratio - a.ratio);
for (const { name, ratio } of results) console.log(`${name.padEnd(45)}${ratio.toFixed(2).padStart(8)}`);
console.log(`\n${ORDINARY}: ${(median(results.map(({ plain }) => plain)) / 1000).toFixed(2)} ms of CPU`);
const [worst] = results;
const met = worst !== undefined && worst.ratio <= TARGET;
console.log(
  `\nworst body ÷ ordinary one of its size, classifyMessage()  target ≤ ${TARGET.toFixed(2)}: ${met ? "met" : "MISSED"} (${worst?.ratio.toFixed(2)}, ${worst?.name})`,
);
if (!met) process.exitCode = 1;

function bodyOf(shape: Shape, size: number): Given {
  const { text, headers = {} } = shape(size - AROUND);
  const bytes = Buffer.from(text);
  return { bytes, fields: fieldsOf(headers), times: Math.ceil(size / bytes.length) };
}

function measure(shape: Shape) {
  const given = bodyOf(shape, LIMITS.body);
  if (given.bytes.length > LIMITS.body) throw new Error("a body above the limit is not read");
  const plain = { ...bodyOf(ordinary, given.bytes.length), times: given.times };
  const ofShape: number[] = [];
  const ofPlain: number[] = [];
  read(given);
  read(plain);
  for (let n = 0; n < RUNS; n++) {
    ofShape.push(read(given));
    ofPlain.push(read(plain));
  }
  return { ratio: median(ofShape) / median(ofPlain), plain: median(ofPlain) };
}

function read({ bytes, fields, times }: Given): number {
  const before = threadCpu();
  for (let n = 0; n < times; n++) classifyMessage(bytes, fields, LIMITS);
  return threadCpu() - before;
}

/**
 * CPU of this thread, in µs. Linux brings a thread's own count up to date at ticks only (up to 4 ms late), but for the whole
 * process at once: asking for that first makes this one exact.
 */
function threadCpu(): number {
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function fieldsOf(headers: Readonly<Record<string, string>>): HeaderFields {
  const present = ({ names }: HeaderNames) => names.filter((name) => headers[name] !== undefined);
  return { get: (name) => headers[name], present, entries: () => Object.entries(headers), size: 0 };
}

function fill(unit: string, size: number): string {
  return unit.repeat(Math.max(0, Math.floor(size / Buffer.byteLength(unit))));
}

function message(members: string) {
  return { text: `{"jsonrpc":"2.0","id":1,${members}}` };
}

function call(params: string) {
  return message(`"method":"tools/call","params":{${params}}`);
}

function batch(size: number, members: (each: number) => string) {
  const one = `{"jsonrpc":"2.0",${members(size / LIMITS.batch - 80)}}`;
  return { text: `[${Array.from({ length: LIMITS.batch }, () => one).join(",")}]` };
}
