/** What the load sends and the backend answers, so that the load can compare whole bodies. */

/** The public path, and the backend's: equal, since the bare Envoy rewrites nothing. */
export const MCP_PATH = "/mcp";

export const PROTOCOL_VERSION = "2025-11-25";

/** Where the backend says, on an initialize, which endpoint answered: set-ups without a router leave the pin to the client. */
export const BENCH_ENDPOINT = "x-bench-endpoint";

/** Any request to this path of the backend makes it forget its sessions, and is answered with how many there were. */
export const FORGET_PATH = "/forget";

const REQUEST_BYTES = 250;

/** What the official SDK sends for a client that can do what a desktop application can: JSON of about 280 bytes. */
export function initializeParams(client: string): string {
  return JSON.stringify({
    protocolVersion: PROTOCOL_VERSION,
    capabilities: { roots: { listChanged: true }, sampling: { tools: {} }, elicitation: { form: {}, url: {} } },
    clientInfo: {
      name: client,
      title: "Example Desktop Client",
      version: "1.42.0",
      websiteUrl: "https://client.example/desktop",
    },
  });
}

/** An initialize of the client called `client`, which the backend repeats in each result of the session. */
export function initializeRequest(client: string): string {
  return `{"jsonrpc":"2.0","id":0,"method":"initialize","params":${initializeParams(client)}}`;
}

/** The tool that the load calls, as the backend names it. */
export const TOOL = "echo";

/** The tool whose answers are event streams. */
export const STREAM_TOOL = "stream";

/** The tool whose event stream begins with an event that says when the backend sent it. */
export const CLOCK_TOOL = "clock";

/** Tools that the backend lists, and bytes of each: what a large server has. */
export const TOOLS = 100;
const TOOL_BYTES = 1_000;

/** The answer to a tools/list. The router's own ids are texts. */
export function toolsAnswer(id: number | string): string {
  const called = [TOOL, STREAM_TOOL, CLOCK_TOOL];
  const tools = Array.from({ length: TOOLS }, (_, n) => tool(called[n] ?? `tool_${n}`));
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":[${tools.join(",")}]}}`;
}

function tool(name: string): string {
  const head = `{"name":"${name}","inputSchema":{"type":"object"},"description":"`;
  return `${head}${"x".repeat(TOOL_BYTES - head.length - 2)}"}`;
}

/** A tools/call of about 250 bytes. */
export function callRequest(id: number, name = TOOL): string {
  const head = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}","arguments":{"count":3,"text":"`;
  const tail = `"},"_meta":{"progressToken":${id}}}}`;
  return head + "x".repeat(REQUEST_BYTES - head.length - tail.length) + tail;
}

/** The answer to `callRequest(id)` in a session of the client called `client`. */
export function callAnswer(id: number, client: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${client}"}]}}`;
}

/** A message in an event stream, as the official SDK writes it. */
export function eventOf(message: string): string {
  return `event: message\ndata: ${message}\n\n`;
}

/** Says when it is sent, in ns of the clock that all processes of a machine share (process.hrtime). */
export function clockMessage(): string {
  const params = `{"progressToken":1,"progress":1,"message":"${process.hrtime.bigint()}"}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
}

/** What a message of the clock says; undefined in a text that holds none. */
export function sentAt(text: string): bigint | undefined {
  const [, sent] = /"message":"([0-9]+)"/.exec(text) ?? [];
  return sent === undefined ? undefined : BigInt(sent);
}
