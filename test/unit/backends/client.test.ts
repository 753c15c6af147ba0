import { afterEach, describe, expect, test } from "vitest";
import { createEgress, type Egress } from "../../../src/backends/client.ts";
import type { Credentials } from "../../../src/core/credentials.ts";
import type { Credential } from "../../../src/credentials/credentials.ts";
import { type Handler, type ScriptedServer, startScriptedServer } from "../../support/scripted-server.ts";
import { BACKEND } from "../core/policy.ts";

const TO = { backend: BACKEND, query: "?a=1" };
const SESSION = { sessionId: "backend-id", endpoint: "10.0.0.1:80" };
const never = new AbortController().signal;

let listener: ScriptedServer;
let egress: Egress;

async function open(answer: Handler): Promise<void> {
  listener = await startScriptedServer(answer);
  egress = createEgress(listener.url);
}

afterEach(async () => {
  await egress.close();
  await listener.close();
});

async function text({ body }: Awaited<ReturnType<Egress["send"]>>): Promise<string> {
  let all = "";
  for await (const chunk of body) all += chunk;
  return all;
}

describe("a call of our own", () => {
  const call = {
    purpose: "recovery",
    to: TO,
    session: SESSION,
    method: "POST",
    headers: [["x-a", "1"]],
    body: '{"method":"ping"}',
  } as const;

  test("says who calls, where it goes and in which session, beside the headers that it is given", async () => {
    await open(() => ({ status: 200 }));
    await egress.send(call, never);
    expect(listener.calls).toMatchObject([
      {
        path: "/mcp?a=1",
        body: '{"method":"ping"}',
        headers: {
          "x-a": "1",
          "x-client-id": "mcp-router/recovery",
          "x-mcp-backend": "one",
          "x-mcp-endpoint": "10.0.0.1:80",
          "mcp-session-id": "backend-id",
        },
      },
    ]);
  });

  test("takes an answer whose head is as large as Envoy lets one be", async () => {
    const value = "b".repeat(60 * 1024);
    await open(() => ({ status: 200, headers: { "x-large": value } }));
    expect((await egress.send(call, never)).header("x-large")).toBe(value);
  });

  test("says for which client it is where the headers do", async () => {
    await open(() => ({ status: 200 }));
    await egress.send({ ...call, headers: [["x-client-id", "tenant-7"]] }, never);
    expect((await listener.called("ping")).headers["x-client-id"]).toBe("tenant-7");
  });

  test("tells each header of its answer", async () => {
    await open(() => ({ status: 200, headers: { "x-a": "1", "set-cookie": ["a=1", "b=2"] } }));
    const { headers } = await egress.send(call, never);
    expect(headers.filter(([name]) => name === "x-a" || name === "set-cookie")).toEqual([
      ["x-a", "1"],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ]);
  });

  test("without a session names no session and no endpoint", async () => {
    await open(() => ({ status: 200 }));
    await egress.send({ ...call, session: undefined }, never);
    const { headers } = await listener.called("ping");
    expect([headers["x-mcp-endpoint"], headers["mcp-session-id"]]).toEqual([undefined, undefined]);
  });

  test("is answered by status, the first header of a name, who answered, and the body", async () => {
    const headers = { "x-mcp-endpoint": "10.0.0.2:80", "set-cookie": ["a", "b"] };
    await open(() => ({ status: 404, headers, body: "gone" }));
    const answer = await egress.send(call, never);
    expect(answer).toMatchObject({ status: 404, endpoint: "10.0.0.2:80" });
    expect(["set-cookie", "x-none"].map(answer.header)).toEqual(["a", undefined]);
    expect(await text(answer)).toBe("gone");
  });

  test("is aborted while it waits, and the other side sees it", async () => {
    await open(() => undefined);
    const abort = new AbortController();
    const answer = egress.send(call, abort.signal);
    const arrived = await listener.called("ping");
    abort.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    await arrived.aborted;
  });

  test("is aborted while its body comes, and the other side sees it", async () => {
    await open(({ response }) => void response.writeHead(200).write("a"));
    const abort = new AbortController();
    const answer = await egress.send(call, abort.signal);
    const arrived = await listener.called("ping");
    abort.abort(new Error("enough"));
    await arrived.aborted;
    await expect(text(answer)).rejects.toThrow("enough");
  });

  test("is aborted after its answer was discarded, and the process goes on", async () => {
    await open(({ response }) => void response.writeHead(200).write("a"));
    const abort = new AbortController();
    (await egress.send(call, abort.signal)).discard();
    abort.abort();
    await (await listener.called("ping")).aborted;
  });

  test("is cut off when the egress is closed", async () => {
    await open(() => void egress.close());
    await expect(egress.send(call, never)).rejects.toThrow();
  });
});

describe("a call to a backend with credentials of its own", () => {
  const HEADERS = [
    ["authorization", "Bearer client"],
    ["x-key", "a-client's"],
    ["x-a", "1"],
  ] as const;
  const call = { purpose: "sweep", session: SESSION, method: "DELETE", headers: HEADERS } as const;
  const to = (credentials: Credentials) => ({ ...TO, backend: { ...BACKEND, credentials } });
  const KEY: Credentials = { kind: "header", name: "x-key", file: "/f", prefix: "" };

  async function openWith(credential: Credential): Promise<void> {
    await open(() => ({ status: 401 }));
    egress = createEgress(listener.url, { of: () => credential });
  }

  test("has them in place of the client's, and tells of a 401", async () => {
    let refused = 0;
    await openWith({ kind: "held", headers: [["x-key", "own"]], refused: () => void refused++ });
    await egress.send({ ...call, to: to(KEY) }, never);
    expect(listener.calls).toMatchObject([{ headers: { "x-key": "own", "x-a": "1" } }]);
    expect(listener.calls[0]?.headers).not.toHaveProperty("authorization");
    expect(refused).toBe(1);
  });

  test("is not sent where there are none, nor waits longer than it may", async () => {
    await openWith({ kind: "none", why: "it is away", retryAfter: 1 });
    await expect(egress.send({ ...call, to: to(KEY) }, never)).rejects.toThrow(
      "no credential for backend one: it is away",
    );
    const slow = createEgress(listener.url, { of: () => new Promise(() => undefined) });
    const leaving = new AbortController();
    const sent = slow.send({ ...call, to: to(KEY) }, leaving.signal);
    leaving.abort();
    await expect(sent).rejects.toThrow();
    await slow.close();
    expect(listener.calls).toEqual([]);
  });

  test("has nothing of the client's where the router has read no secrets", async () => {
    await open(() => ({ status: 200 }));
    await egress.send({ ...call, to: to({ kind: "none" }) }, never);
    expect(listener.calls[0]?.headers).not.toHaveProperty("authorization");
    await expect(egress.send({ ...call, to: to(KEY) }, never)).rejects.toThrow("has not read its secrets");
  });
});
