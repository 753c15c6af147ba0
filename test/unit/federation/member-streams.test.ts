import { describe, expect, test } from "vitest";
import { createRpc } from "../../../src/backends/rpc.ts";
import { readEventId, streamEventId } from "../../../src/core/federation/event-ids.ts";
import { idForClient, TAG_BITS } from "../../../src/core/federation/ids.ts";
import type { FederatedRoute } from "../../../src/core/routes.ts";
import { MOST_LINES } from "../../../src/core/sse/fields.ts";
import { EventReader } from "../../../src/core/sse/reader.ts";
import { ClientStream } from "../../../src/federation/client-stream.ts";
import { MemberStreams } from "../../../src/federation/member-streams.ts";
import { MOST_UNREAD } from "../../../src/federation/paced-sink.ts";
import { UNFINISHED_MS, UnfinishedEvents } from "../../../src/federation/unfinished.ts";
import { backendTag, mintSessionId, type SessionKey, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { PARKED, type SessionStore, withoutSession } from "../../../src/sessions/store.ts";
import { memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import {
  createTestClock,
  openStream,
  routeOf,
  type Script,
  type Scripted,
  scriptedEgress,
  settle,
} from "./backends.ts";
import { createSink } from "./sink.ts";

const CAN_BE_ASKED = '{"capabilities":{"elicitation":{}}}';
const ONLY_TOOLS = {
  version: undefined,
  capabilities: new Map([["tools", "{}"]]),
  instructions: undefined,
  serverInfo: undefined,
};
const LOGS = { ...ONLY_TOOLS, capabilities: new Map([["logging", "{}"]]) };
const MIB = 1024 * 1024;

interface Options {
  readonly initializeParams?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What a backend does about a GET. Default: it opens a stream. */
  readonly answer?: Script;
  /** Whether the store is. */
  readonly isAway?: () => boolean;
  readonly recover?: () => boolean;
  readonly onSessionLost?: "recover" | "surface";
  /** Of the first backend. */
  readonly lists?: "shared" | "principal";
  /** Bytes of unfinished events. */
  readonly room?: number;
}

/** A client's stream over two backends, files and git, and what reaches it. */
async function open({
  initializeParams = CAN_BE_ASKED,
  headers = {},
  answer,
  isAway = () => false,
  recover,
  onSessionLost,
  lists = "shared",
  room = 64 * MIB,
}: Options = {}) {
  const clock = createTestClock();
  const store = memoryStore({ idle: 60_000, lifetime: 600_000, unused: 60_000 });
  const load: SessionStore["load"] = async (of) => (isAway() ? { kind: "unavailable" } : store.load(of));
  const key = sessionKey(mintSessionId());
  await store.create(key, { owner: "", route: "/all", protocolVersion: undefined, initializeParams, bindings: {} });
  const member = memberOf("files", { lists });
  const backend = { ...member.route.backend, ...(onSessionLost && { onSessionLost }) };
  const route = routeOf([{ ...member, route: { ...member.route, backend } }, memberOf("git")]);
  const config: { route: FederatedRoute | undefined } = { route };
  const streams: ReturnType<typeof openStream>[] = [];
  const { egress, calls } = scriptedEgress((call) => {
    if (answer) return answer(call);
    const stream = openStream();
    streams.push(stream);
    return stream.answer;
  });
  const lost: string[] = [];
  const renewed: string[] = [];
  const cutOff: string[] = [];
  const offers = [ONLY_TOOLS, ONLY_TOOLS];
  const client = clientOf(key, config, headers);
  const members = new MemberStreams(
    {
      store: { load },
      rpc: createRpc(egress, "stream"),
      clock,
      unfinished: new UnfinishedEvents(
        () => room,
        (of, why) => void cutOff.push(`${of} ${why}`),
      ),
      depth: () => 100,
      batch: () => 100,
      offers: () => offers,
      eras: () => [],
      permits: () => undefined,
      async recover({ binding }) {
        lost.push(binding.sessionId);
        return recover?.() ?? false;
      },
      renew: ({ key: of }, { route: at }) => void renewed.push(`${of === key} ${at.backend.name}`),
    },
    client.stream,
    { headers: fields(headers), query: "?a=1" },
  );
  const bind = async (name: string, sessionId: string, expected = 0, endpoint = "10.0.0.1:80") => {
    await store.bind(key, name, expected, { sessionId, endpoint, version: "2025-06-18" });
    await members.look();
    await settle();
  };
  return { clock, store, key, config, streams, calls, lost, renewed, cutOff, offers, members, bind, ...client };
}

function clientOf(
  key: SessionKey,
  config: { readonly route: FederatedRoute | undefined },
  headers: Readonly<Record<string, string>>,
) {
  let due = 0;
  const { sink, text, state, fill } = createSink();
  const last = readEventId(headers["last-event-id"] ?? "");
  const stream = new ClientStream(
    { routeAt: () => config.route, lists: () => "", onDue: () => void due++, onEnd: () => undefined },
    {
      of: { key, owner: "", path: "/all" },
      sink,
      last: last?.kind === "stream" ? last : undefined,
      takesPlaces: true,
    },
  );
  stream.begin();
  return {
    stream,
    state,
    due: () => due,
    text,
    heard: () => [...text().matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? "")),
    lastId: () => [...text().matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? "",
    fill,
  };
}

const message = (data: string) => ({ jsonrpc: "2.0", method: "notifications/message", params: { data } });
const gets = (calls: readonly { readonly backend: string; readonly session: string | undefined }[]) =>
  calls.map(({ backend, session }) => `${backend} ${session}`);

describe("the stream of a client of several backends", () => {
  test("joins that of each backend in which the client has a session, once it has one", async () => {
    const { members, calls, bind, streams, heard } = await open({ headers: { authorization: "Bearer x" } });
    await members.look();
    expect(calls).toEqual([]);
    await bind("files", "f1");
    await bind("git", "g1");
    await members.look();
    expect(gets(calls)).toEqual(["files f1", "git g1"]);
    expect(calls[0]).toMatchObject({
      purpose: "stream",
      headers: { authorization: "Bearer x", accept: "text/event-stream", "mcp-protocol-version": "2025-06-18" },
    });
    streams[1]?.say(message("from git"));
    streams[0]?.say(message("from files"));
    await settle();
    expect(heard()).toEqual([message("from git"), message("from files")]);
  });

  test("says of each request of a backend whose it is", async () => {
    const { key, bind, streams, heard } = await open();
    await bind("files", "f1");
    await bind("git", "g1");
    for (const stream of streams) stream.say({ jsonrpc: "2.0", id: 0, method: "elicitation/create" });
    await settle();
    const idAt = (place: number, name: string) =>
      Number(idForClient({ place, tag: backendTag(key, name, TAG_BITS) }, "0"));
    expect(heard().map(({ id }) => id)).toEqual([idAt(0, "files"), idAt(1, "git")]);
  });

  test("joins the next session of a backend in place of the last one", async () => {
    const { bind, calls, streams, heard } = await open();
    await bind("files", "f1");
    await bind("files", "f2", 1);
    expect(gets(calls)).toEqual(["files f1", "files f2"]);
    expect(streams[0]?.body.destroyed).toBe(true);
    streams[1]?.say(message("again"));
    await settle();
    expect(heard()).toEqual([message("again")]);
  });

  test.each([
    ["parked", { sessionId: "x", endpoint: PARKED }],
    ["one that the backend does not keep", withoutSession(undefined)],
  ])("joins nothing of a session that is %s", async (_, { sessionId, endpoint }) => {
    const { bind, calls } = await open();
    await bind("files", sessionId, 0, endpoint);
    expect(calls).toEqual([]);
  });

  test("joins a backend whose lists are the client's own, and has them asked for anew when they change", async () => {
    const { bind, streams, renewed, stream, due, heard } = await open({ initializeParams: "{}", lists: "principal" });
    await bind("files", "f1");
    streams[0]?.say({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
    await settle();
    expect(renewed).toEqual(["true files"]);
    expect(due()).toBe(1);
    expect(heard()).toEqual([]);
    stream.flush();
    expect(heard()).toEqual([{ jsonrpc: "2.0", method: "notifications/tools/list_changed" }]);
  });

  test("joins a backend only where something can come of it: a log, an update, a question", async () => {
    const { store, key, members, bind, calls, offers } = await open({ initializeParams: "{}" });
    await bind("files", "f1");
    await bind("git", "g1");
    expect(calls).toEqual([]);
    offers[1] = LOGS;
    await store.remember(key, "files", { kind: "subscribe", uri: "x:y", params: '{"uri":"x:y"}' });
    await members.look();
    expect(gets(calls)).toEqual(["files f1", "git g1"]);
  });

  test("ends with the session, and joins none after that", async () => {
    const { store, key, members, state, bind, calls, streams } = await open();
    await bind("files", "f1");
    await store.remove(key);
    await members.look();
    expect(state()).toBe("ended");
    members.close();
    expect(streams[0]?.body.destroyed).toBe(true);
    await members.look();
    expect(calls).toHaveLength(1);
  });

  test("looks again where the store was away, and no more often the more it is told to", async () => {
    let isAway = true;
    let looks = 0;
    const { clock, calls, members, bind } = await open({
      isAway() {
        looks++;
        return isAway;
      },
    });
    await bind("files", "f1");
    for (let n = 0; n < 10; n++) await members.look();
    looks = 0;
    await clock.pass(60_000 - 1);
    expect(looks).toBe(11);
    expect(calls).toEqual([]);
    isAway = false;
    await clock.pass(5_000);
    expect(gets(calls)).toEqual(["files f1"]);
  });

  test("leaves a backend that a new configuration takes from the route, and joins one anew that has changed its place", async () => {
    const { key, config, members, bind, calls, streams, heard } = await open();
    await bind("files", "f1");
    await bind("git", "g1");
    config.route = routeOf([memberOf("git")]);
    await members.look();
    expect(streams[0]?.body.destroyed).toBe(true);
    expect(gets(calls)).toEqual(["files f1", "git g1", "git g1"]);
    streams[2]?.say({ jsonrpc: "2.0", id: 0, method: "ping" });
    await settle();
    expect(heard()[0].id).toBe(Number(idForClient({ place: 0, tag: backendTag(key, "git", TAG_BITS) }, "0")));
  });

  test("tells what joins, so that a request can wait for it", async () => {
    const answered = Promise.withResolvers<void>();
    const { members, bind } = await open({
      async answer() {
        await answered.promise;
        return openStream().answer;
      },
    });
    await members.joined("files");
    await bind("files", "f1");
    let isJoined = false;
    const joined = members.joined("files").then(() => {
      isJoined = true;
    });
    await settle();
    expect(isJoined).toBe(false);
    answered.resolve();
    await joined;
  });

  test.each([405, 404, 200])("does not wait for one that answers %i", async (status) => {
    const { members, bind } = await open({ answer: () => ({ status }) });
    await bind("files", "f1");
    await members.joined("files");
  });
});

describe("an event of a backend", () => {
  test("is left out where it tells of changed lists, is a comment, or is too long or of too many lines", async () => {
    const { bind, streams, heard, text } = await open();
    await bind("files", "f1");
    const [stream] = streams;
    stream?.say({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
    stream?.body.push(": comment\n\nretry: 5\n\n");
    stream?.body.push(`id: 7\ndata: {"x":"${"x".repeat(4 * MIB)}"}\n\n`);
    stream?.body.push(`data: {"method":"x"}\n${"id\n".repeat(MOST_LINES)}\n`);
    stream?.say(message("after"));
    await settle();
    expect(heard()).toEqual([message("after")]);
    expect(text()).not.toMatch(/comment|retry/);
  });

  test("waits while the client does not read, and the backend with it", async () => {
    const { bind, streams, heard, fill } = await open();
    await bind("files", "f1");
    fill(MOST_UNREAD + 1);
    streams[0]?.say(message("one"));
    streams[0]?.say(message("two"));
    await settle();
    expect(heard()).toEqual([]);
    fill(0);
    await settle();
    expect(heard()).toEqual([message("one"), message("two")]);
  });

  test("comes to the client as the backend wrote it, but for its ids", async () => {
    const { bind, streams, text, lastId } = await open();
    await bind("files", "f1");
    streams[0]?.body.push('event: message\r\nid: 1\r\ndata: {"method": "x",\r\ndata:  "params": 1.0}\r\n\r\n');
    await settle();
    const [event] = eventsIn(text()).slice(-1);
    expect(event).toBe(`id: ${lastId()}\nevent: message\r\ndata: {"method": "x",\r\ndata:  "params": 1.0}\r\n\r\n`);
  });
});

function eventsIn(text: string): readonly string[] {
  const events = new EventReader(MIB).read(Buffer.from(text));
  if (events === "too-long") throw new Error(events);
  return events.map(({ bytes }) => Buffer.from(bytes).toString());
}

test("many small events cost the client and the router no more than their messages", async () => {
  const { bind, streams, text } = await open();
  await bind("files", "f1");
  streams[0]?.body.push(`id: ${"x".repeat(1_000)}\ndata: first\n\n`);
  await settle();
  const before = text().length;
  for (let n = 0; n < 500; n++) streams[0]?.body.push("data:\n\n");
  await settle();
  expect(text().length).toBe(before);
});

describe("a client that comes back", () => {
  test("goes on at each backend after the last event that it got from there", async () => {
    const first = await open();
    await first.bind("files", "f1");
    await first.bind("git", "g1");
    first.streams[0]?.body.push('id: é1\ndata: {"method":"1"}\n\n');
    first.streams[1]?.body.push('id: g7\ndata: {"method":"2"}\n\n');
    first.streams[0]?.body.push('id: f2\ndata: {"method":"3"}\n\n');
    await settle();
    const last = readEventId(first.lastId());
    expect(last).toMatchObject({ places: [{ id: Buffer.from("f2") }, { id: Buffer.from("g7") }] });
    const { key, store, config } = first;
    const again = clientOf(key, config, { "last-event-id": first.lastId() });
    const { egress, calls } = scriptedEgress(() => openStream().answer);
    const rpc = createRpc(egress, "stream");
    const members = new MemberStreams(
      {
        store,
        rpc,
        clock: first.clock,
        unfinished: new UnfinishedEvents(
          () => MIB,
          () => undefined,
        ),
        depth: () => 100,
        batch: () => 100,
        offers: () => [],
        eras: () => [],
        permits: () => undefined,
        recover: async () => false,
        renew: () => undefined,
      },
      again.stream,
      { headers: fields({}), query: "" },
    );
    await members.look();
    await settle();
    expect(calls.map(({ headers }) => headers["last-event-id"])).toEqual(["f2", "g7"]);
    // What it has of a session that was lost since is nothing to the next one.
    await store.bind(key, "files", 1, { sessionId: "f2", endpoint: "10.0.0.1:80" });
    await members.look();
    await settle();
    expect(calls.at(-1)?.headers).not.toHaveProperty("last-event-id");
  });

  test("gets nothing by the events of another session", async () => {
    const other = await open();
    await other.bind("files", "f1");
    other.streams[0]?.body.push('id: secret\ndata: {"method":"1"}\n\n');
    await settle();
    const { bind, calls } = await open({ headers: { "last-event-id": other.lastId() } });
    await bind("files", "f1");
    expect(calls[0]?.headers).not.toHaveProperty("last-event-id");
  });

  test.each([
    ["5\r\nx-evil: 1", false],
    ["5\n", false],
    ["", false],
    [" 5", false],
    ["\u0000", false],
    ["x".repeat(1025), false],
    ["é 5", true],
  ])("goes on after an event only where its id can be a header's value: %j, %s", (id, goesOn) => {
    const key = sessionKey(mintSessionId());
    const place = { place: 0, tag: backendTag(key, "files", TAG_BITS), generation: 1, id: Buffer.from(id) };
    const headers = { "last-event-id": streamEventId("", [place]) };
    const { stream } = clientOf(key, { route: routeOf([memberOf("files")]) }, headers);
    expect(stream.lastOf("files", 1)?.toString()).toBe(goesOn ? id : undefined);
  });

  test("knows where it is also of events without data", async () => {
    const { bind, streams, lastId } = await open();
    await bind("files", "f1");
    streams[0]?.body.push("id: 0\ndata: \n\n");
    await settle();
    expect(readEventId(lastId())).toMatchObject({ places: [{ id: Buffer.from("0") }] });
    streams[0]?.body.push('id\ndata: {"method":"reset"}\n\n');
    await settle();
    expect(readEventId(lastId())).toMatchObject({ places: [] });
  });
});

describe("a backend whose stream", () => {
  test("ends without a word is asked for another one less and less often", async () => {
    const { clock, bind, calls } = await open({
      answer: () => ({ headers: { "content-type": "text/event-stream" }, body: "retry: 0\n\n" }),
    });
    await bind("files", "f1");
    await clock.pass(750);
    // At 0, 0.1, 0.3 and 0.7 s, whenever it wants to be asked.
    expect(calls).toHaveLength(4);
    await clock.pass(10 * 60_000);
    expect(calls.length).toBeLessThan(35);
  });

  test("ends after a message is asked for another one after that, and not without a pause", async () => {
    const { clock, bind, calls } = await open({
      answer: () => ({
        headers: { "content-type": "text/event-stream" },
        body: 'retry: 0\nid: 5\ndata: {"method":"1"}\n\n',
      }),
    });
    await bind("files", "f1");
    await clock.pass(3_000);
    expect(calls.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "5", "5", "5"]);
  });

  test("ends when it wants to be asked again is asked then", async () => {
    const { clock, bind, calls } = await open({
      answer: () => ({
        headers: { "content-type": "text/event-stream" },
        body: 'retry: 3000\ndata: {"method":"1"}\n\n',
      }),
    });
    await bind("files", "f1");
    await clock.pass(2_999);
    expect(calls).toHaveLength(1);
    await clock.pass(1);
    expect(calls).toHaveLength(2);
  });

  test.each<[string, Script]>([
    ["405", () => ({ status: 405 })],
    ["202", () => ({ status: 202 })],
    ["a redirect", () => ({ status: 307 })],
    ["JSON", () => ({ body: "{}" })],
  ])("is none is asked for none again in that session: %s", async (_, answer) => {
    const { clock, bind, calls, lost, members } = await open({ answer });
    await bind("files", "f1");
    await clock.pass(60 * 60_000);
    await members.look();
    expect(calls).toHaveLength(1);
    expect(lost).toEqual([]);
  });

  test.each([400, 404])(
    "was there, and says later that it does not know the session, has that replaced: %i",
    async (status) => {
      let answer: Scripted = { headers: { "content-type": "text/event-stream" }, body: "" };
      const { clock, bind, calls, lost } = await open({ answer: () => answer });
      await bind("files", "f1");
      answer = { status };
      await clock.pass(100);
      expect(lost).toEqual(["f1"]);
      // Once more, since it may have been passing.
      await clock.pass(60 * 60_000);
      expect(calls).toHaveLength(3);
      expect(lost).toEqual(["f1", "f1"]);
    },
  );

  /** A backend that loses each session after one stream; each is replaced where the router sees the loss. */
  async function openForgetful(lasting: number) {
    const known = new Set<string | undefined>(["f1"]);
    let begun = 1;
    const opened = await open({
      answer({ session }) {
        if (!known.delete(session)) return { status: 404 };
        const stream = openStream();
        clock.after(lasting, () => void stream.body.push(null));
        return stream.answer;
      },
      recover() {
        void replace();
        return true;
      },
    });
    const { clock, bind } = opened;
    const replace = () => {
      const next = `f${++begun}`;
      known.add(next);
      return bind("files", next, begun - 1);
    };
    await bind("files", "f1");
    return { ...opened, replace };
  }

  test("is lost with its session each time has that replaced less and less often", async () => {
    const { clock, lost } = await openForgetful(100);
    await clock.pass(20_000);
    // After 0, 1, 2, 4 and 8 s, and a little more each for the streams.
    expect(lost).toEqual(["f1", "f2", "f3", "f4", "f5"]);
    await clock.pass(60 * 60_000);
    expect(lost.length).toBeLessThan(15);
  });

  test("is lost each time joins the session that a call has begun at once", async () => {
    const { clock, lost, replace, calls } = await openForgetful(100);
    await clock.pass(10 * 60_000);
    const [lostSoFar, asked] = [lost.length, calls.length];
    await replace();
    expect(calls).toHaveLength(asked + 1);
    await clock.pass(1_000);
    expect(lost).toHaveLength(lostSoFar);
  });

  test("has lasted for long has its session replaced at once, however often that is", async () => {
    const { clock, lost } = await openForgetful(60_000);
    await clock.pass(10 * 61_000);
    expect(lost).toHaveLength(10);
  });

  test.each([400, 404])("was never there is no proof that the session is lost: %i", async (status) => {
    const { bind, calls, lost } = await open({ answer: () => ({ status }) });
    await bind("files", "f1");
    expect(calls).toHaveLength(1);
    expect(lost).toEqual([]);
  });

  test.each([401, 403])("asks for other credentials, after it was there, ends the client's: %i", async (status) => {
    const stream = openStream();
    let answer: Scripted = stream.answer;
    const { clock, bind, state } = await open({ answer: () => answer });
    await bind("files", "f1");
    await clock.pass(60_000);
    expect(state()).toBe("open");
    answer = { status };
    stream.body.push(null);
    await clock.pass(100);
    expect(state()).toBe("ended");
  });

  test("cannot be asked whether it knows the session is asked again later", async () => {
    let isAway = true;
    let answer: Scripted = { headers: { "content-type": "text/event-stream" }, body: "" };
    const { clock, bind, calls, lost } = await open({ answer: () => answer, recover: () => isAway });
    await bind("files", "f1");
    answer = { status: 404 };
    await clock.pass(5_100);
    expect(lost).toEqual(["f1", "f1"]);
    isAway = false;
    await clock.pass(60 * 60_000);
    expect(calls).toHaveLength(5);
  });

  test("is lost for good where sessions are not recovered", async () => {
    let answer: Scripted = { headers: { "content-type": "text/event-stream" }, body: "" };
    const { clock, bind, lost } = await open({ answer: () => answer, onSessionLost: "surface" });
    await bind("files", "f1");
    answer = { status: 404 };
    await clock.pass(60 * 60_000);
    expect(lost).toEqual([]);
  });
});

describe("a backend that refuses a stream in a session that it knows", () => {
  /** Looks as often as a client's stream does. */
  const passMinutes = async (minutes: number, { clock, members }: Awaited<ReturnType<typeof open>>) => {
    for (let n = 0; n < minutes; n++) {
      await clock.pass(60_000);
      await members.look();
    }
    await settle();
  };
  const lastIds = (calls: Awaited<ReturnType<typeof open>>["calls"]) =>
    calls.map(({ headers }) => headers["last-event-id"]);
  /** Opens a stream, which ends after an event with an id, and refuses to go on after that. */
  const forgetful =
    (status: number): Script =>
    ({ headers }) =>
      headers["last-event-id"] === undefined
        ? { headers: { "content-type": "text/event-stream" }, body: 'id: 5\ndata: {"method":"a"}\n\n' }
        : { status };

  test.each([400, 404])("since it has forgotten an event is asked for one without that: %i", async (status) => {
    const { clock, bind, calls, lost, lastId } = await open({ answer: forgetful(status) });
    await bind("files", "f1");
    await clock.pass(1_000);
    const known = lastId();
    await clock.pass(100);
    expect(lastIds(calls)).toEqual([undefined, "5", undefined]);
    expect(lost).toEqual(["f1"]);
    expect(readEventId(known)).toMatchObject({ places: [{ id: Buffer.from("5") }] });
  });

  test("is not asked by the event again that it has forgotten, when its client comes back", async () => {
    let answer: Scripted = {
      headers: { "content-type": "text/event-stream" },
      body: 'id: 5\ndata: {"method":"a"}\n\n',
    };
    const { clock, bind, calls, streams, lastId } = await open({
      answer({ backend }) {
        if (backend === "files") return answer;
        const stream = openStream();
        streams.push(stream);
        return stream.answer;
      },
    });
    await bind("files", "f1");
    await bind("git", "g1");
    answer = { status: 400 };
    await clock.pass(1_100);
    expect(lastIds(calls)).toEqual([undefined, undefined, "5", undefined]);
    streams[0]?.body.push('id: g7\ndata: {"method":"a"}\n\n');
    await settle();
    expect(readEventId(lastId())).toMatchObject({ places: [{ id: Buffer.from("g7") }] });
  });

  test("and again is left alone until a look, however often it opens one in between", async () => {
    const opened = await open({ answer: forgetful(400) });
    await opened.bind("files", "f1");
    await opened.clock.pass(29_000);
    expect(lastIds(opened.calls)).toEqual([undefined, "5", undefined, "5"]);
    await passMinutes(10, opened);
    expect(opened.calls.length).toBeLessThan(50);
    expect(opened.lost.length).toBeLessThan(25);
  });

  test("once is asked once more soon", async () => {
    let answer: Scripted | undefined = { headers: { "content-type": "text/event-stream" }, body: "" };
    const { clock, bind, streams, heard, members } = await open({
      answer() {
        if (answer) return answer;
        const stream = openStream();
        streams.push(stream);
        return stream.answer;
      },
    });
    await bind("files", "f1");
    answer = { status: 404 };
    await clock.pass(100);
    expect(members.size).toBe(0);
    answer = undefined;
    await clock.pass(5_000);
    expect(members.size).toBe(1);
    streams[0]?.say(message("back"));
    await settle();
    expect(heard()).toEqual([message("back")]);
  });

  test.each([400, 401, 403, 404, 429])("at first is asked again at a look: %i", async (status) => {
    let answer: Scripted = { status };
    const opened = await open({ answer: () => answer });
    await opened.bind("files", "f1");
    expect(opened.members.size).toBe(0);
    await opened.members.look();
    answer = openStream().answer;
    await passMinutes(1, opened);
    expect(opened.members.size).toBe(1);
  });

  test.each([401, 403])("since it never takes credentials for long costs the others no stream: %i", async (status) => {
    let opens = true;
    const opened = await open({
      answer({ backend }) {
        if (backend === "git") return openStream().answer;
        opens = !opens;
        return opens ? { status } : { headers: { "content-type": "text/event-stream" }, body: "" };
      },
    });
    await opened.bind("files", "f1");
    await opened.bind("git", "g1");
    await opened.clock.pass(59_000);
    expect(opened.state()).toBe("open");
    expect(opened.calls.length).toBeLessThan(5);
  });

  test("since credentials have expired soon after it took them ends the client's stream at a look", async () => {
    let answer: Scripted = { headers: { "content-type": "text/event-stream" }, body: "" };
    const opened = await open({ answer: () => answer });
    await opened.bind("files", "f1");
    answer = { status: 401 };
    await opened.clock.pass(100);
    expect(opened.state()).toBe("open");
    await passMinutes(1, opened);
    expect(opened.state()).toBe("ended");
  });

  test("for good is asked less and less often", async () => {
    const opened = await open({ answer: () => ({ status: 404 }) });
    await opened.bind("files", "f1");
    await passMinutes(60, opened);
    expect(opened.calls.length).toBeGreaterThan(5);
    expect(opened.calls.length).toBeLessThan(12);
    expect(opened.lost).toEqual([]);
  });

  test("is not counted, nor one whose stream has ended", async () => {
    const { bind, members, streams } = await open();
    await bind("files", "f1");
    await bind("git", "g1");
    expect(members.size).toBe(2);
    streams[0]?.body.push(null);
    await settle();
    expect(members.size).toBe(1);
  });
});

describe("an event that a backend does not end", () => {
  const begun = 'data: {"method":"x","params":"';

  test("has its stream cut off in time and opened again, while the others go on", async () => {
    const { bind, streams, clock, cutOff, heard, members } = await open();
    await bind("files", "f1");
    await bind("git", "g1");
    streams[0]?.body.push(begun);
    await clock.pass(UNFINISHED_MS - 1);
    // More of it gives it no more time.
    streams[0]?.body.push("y");
    await settle();
    expect(members.size).toBe(2);
    await clock.pass(1);
    expect(cutOff).toEqual(["files late"]);
    expect(members.size).toBe(1);
    await clock.pass(1_000);
    streams[2]?.say(message("again"));
    streams[1]?.say(message("other"));
    await settle();
    expect(heard()).toEqual([message("again"), message("other")]);
  });

  test("has its time anew after each event", async () => {
    const { bind, streams, clock, cutOff, members } = await open();
    await bind("files", "f1");
    for (let n = 0; n < 5; n++) {
      streams[0]?.body.push(begun);
      await clock.pass(UNFINISHED_MS - 1);
      streams[0]?.body.push(n % 2 === 0 ? '"}\n\n' : `"}\n\n${begun}`);
      await clock.pass(UNFINISHED_MS - 1);
      if (n % 2 === 1) streams[0]?.body.push('"}\n\n');
      await settle();
    }
    expect(cutOff).toEqual([]);
    expect(members.size).toBe(1);
  });

  test("is none where it is only comments, which keep a stream alive", async () => {
    const { bind, streams, clock, heard, cutOff, text } = await open();
    await bind("files", "f1");
    for (let n = 0; n < 20; n++) {
      streams[0]?.body.push(": ping\n");
      await clock.pass(UNFINISHED_MS);
    }
    streams[0]?.body.push('data: {"method":"x"}\n\n');
    await settle();
    expect(cutOff).toEqual([]);
    expect(text()).toContain('data: {"method":"x"}');
    expect(heard()).toEqual([{ method: "x" }]);
  });

  test("has its stream cut off where all of them take too much, and asked less and less often", async () => {
    const { bind, clock, cutOff, calls, members } = await open({
      room: 4 * MIB,
      answer: ({ backend }) => {
        const stream = openStream();
        // Its quarter is a megabyte.
        if (backend === "files") stream.body.push(begun + "y".repeat(MIB));
        return stream.answer;
      },
    });
    await bind("files", "f1");
    await bind("git", "g1");
    expect(members.size).toBe(1);
    await clock.pass(10 * 60_000);
    expect(new Set(cutOff)).toEqual(new Set(["files budget"]));
    expect(calls.filter(({ backend }) => backend === "files").length).toBeLessThan(40);
    expect(calls.filter(({ backend }) => backend === "git").length).toBe(1);
  });

  test("counts no more once it has ended, or its stream has", async () => {
    const { bind, streams, clock, cutOff, members } = await open({ room: 4 * MIB });
    await bind("files", "f1");
    for (let n = 0; n < 5; n++) {
      streams.at(-1)?.body.push(begun + "y".repeat(MIB / 2));
      await settle();
      if (n % 2 === 0) streams.at(-1)?.body.push(null);
      else streams.at(-1)?.body.push('"}\n\n');
      await clock.pass(10_000);
    }
    expect(cutOff).toEqual([]);
    expect(members.size).toBe(1);
  });
});
