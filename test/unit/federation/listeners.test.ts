import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ALL_NAMES } from "../../../src/core/federation/filter.ts";
import type { StreamSink } from "../../../src/core/streams.ts";
import type { ClientStream } from "../../../src/federation/client-stream.ts";
import { BURST_MS, COMMENT_MS, createListeners } from "../../../src/federation/listeners.ts";
import { MOST_STUCK_TICKS, MOST_UNREAD } from "../../../src/federation/paced-sink.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { createSink } from "./sink.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start() {
  let routes = [
    federatedRoute([memberOf("files"), memberOf("git")], { path: "/all" }),
    federatedRoute([memberOf("git"), memberOf("mail")], { path: "/some" }),
  ];
  const uses: string[] = [];
  const goneOf = new Map<string, () => void>();
  const looks: string[] = [];
  let digest = "";
  const clients = new Map<string, Pick<ClientStream, "due">>();
  /** Keys of clients with the backends that they hear. */
  const heard = new Set<string>();
  const listeners = createListeners({
    routes: () => routes,
    routeAt: (path) => routes.find((route) => route.path === path),
    lists: () => digest,
    isOfOtherRules: ({ outcome }) => outcome !== undefined,
    join(client) {
      const { key } = client;
      clients.set(key, client);
      return {
        look: async () => void looks.push(key),
        joined: async () => undefined,
        hears: (backend) => heard.has(`${key} ${backend}`),
        size: 2,
        close: () => void looks.push(`${key} left`),
      };
    },
    use({ key }, gone) {
      uses.push(key);
      goneOf.set(key, () => gone(key));
      return () => void uses.splice(uses.indexOf(key), 1);
    },
  });
  /** A client's stream, and what it has heard. */
  const listen = (
    key: string,
    path = "/all",
    headers: Readonly<Record<string, string>> = {},
    owner = "",
    outcome?: string,
  ) => {
    const { sink, text, state, fill: leave } = createSink(() => left());
    const left = listeners.open({ key, owner, path, outcome }, { headers: fields(headers), query: "" }, sink);
    const heard = () => [...text().matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? "").method);
    return { left, heard, text, state, leave };
  };
  const reconfigure = (now: typeof routes) => {
    routes = now;
    listeners.reconfigured();
    vi.advanceTimersByTime(BURST_MS);
  };
  const offer = (now: string) => {
    digest = now;
  };
  return { listeners, listen, clients, heard, reconfigure, offer, looks, uses, goneOf };
}

describe("a stream of the gateway's own", () => {
  test("begins at once, so that its client sees it open, and is kept alive by comments", () => {
    const { listen } = start();
    const { text } = listen("a");
    expect(text()).toBe(":\n\n");
    vi.advanceTimersByTime(COMMENT_MS);
    expect(text()).toBe(":\n\n:\n\n");
  });

  test("ends where other rules are in force than it was begun by, and says first that lists have changed", () => {
    const { listen, reconfigure } = start();
    const judged = listen("a", "/all", {}, "", "of-other-rules");
    const other = listen("b");
    reconfigure([]);
    expect(judged.heard()).toEqual([
      "notifications/tools/list_changed",
      "notifications/prompts/list_changed",
      "notifications/resources/list_changed",
    ]);
    expect([judged.state(), other.state()]).toEqual(["ended", "open"]);
  });

  test("tells of a list for one principal to that principal's clients alone", () => {
    const { listeners, listen } = start();
    const ada = listen("a", "/all", {}, "ada");
    const eve = listen("e", "/all", {}, "eve");
    const nobody = listen("n");
    const change = { backend: "git", list: "tools", isAnnounced: false } as const;
    listeners.changedFor({ ...change, principal: "ada" });
    vi.advanceTimersByTime(BURST_MS);
    expect([ada, eve, nobody].map(({ heard }) => heard().length)).toEqual([1, 0, 0]);
    // A client without a principal is known by its session.
    listeners.changedFor({ ...change, principal: "n" });
    vi.advanceTimersByTime(BURST_MS);
    expect([ada, eve, nobody].map(({ heard }) => heard().length)).toEqual([1, 0, 1]);
  });

  test("tells a principal's client of no list of which the backend has told it", () => {
    const { listeners, listen, heard: hears } = start();
    const { heard } = listen("a");
    const change = { principal: "a", backend: "git", list: "tools" } as const;
    hears.add("a git");
    listeners.changedFor({ ...change, isAnnounced: true });
    vi.advanceTimersByTime(BURST_MS);
    expect(heard()).toEqual([]);
    // One that tells of no changes, and one that has no stream for the client.
    listeners.changedFor({ ...change, isAnnounced: false });
    vi.advanceTimersByTime(BURST_MS);
    hears.clear();
    listeners.changedFor({ ...change, isAnnounced: true });
    vi.advanceTimersByTime(BURST_MS);
    expect(heard()).toHaveLength(2);
  });

  test("is known by its route while it is open", () => {
    const { listeners, listen } = start();
    const { left } = listen("a");
    listen("b", "/some");
    expect(listeners.paths()).toEqual(new Set(["/all", "/some"]));
    expect(listeners.members).toBe(4);
    left();
    expect(listeners.paths()).toEqual(new Set(["/some"]));
  });

  test("ends with its session, whichever router has ended that", () => {
    const { listeners, listen, uses, goneOf } = start();
    const [own, other] = [listen("a"), listen("b")];
    listeners.end("a");
    listeners.end("nobody's");
    expect(own.state()).toBe("ended");
    expect(other.state()).toBe("open");
    goneOf.get("b")?.();
    expect(other.state()).toBe("ended");
    expect(uses).toEqual([]);
    expect(listeners.size).toBe(0);
  });

  test("tells once of a burst of changes of a list", () => {
    const { listeners, listen } = start();
    const { heard, text } = listen("a");
    for (let n = 0; n < 5; n++) listeners.changed("files", "tools");
    listeners.changed("git", "tools");
    listeners.changed("files", "resources");
    listeners.changed("files", "templates");
    expect(heard()).toEqual([]);
    vi.advanceTimersByTime(BURST_MS);
    expect(heard()).toEqual(["notifications/tools/list_changed", "notifications/resources/list_changed"]);
    expect(text()).toContain("event: message\n");
    vi.advanceTimersByTime(10 * BURST_MS);
    listeners.changed("files", "prompts");
    vi.advanceTimersByTime(BURST_MS);
    expect(heard().slice(2)).toEqual(["notifications/prompts/list_changed"]);
  });

  test("tells as soon of the lists that one client alone has from a backend", () => {
    const { listen, clients } = start();
    const [own, other] = [listen("a"), listen("b")];
    clients.get("a")?.due("notifications/tools/list_changed");
    vi.advanceTimersByTime(BURST_MS);
    expect(own.heard()).toEqual(["notifications/tools/list_changed"]);
    expect(other.heard()).toEqual([]);
  });

  test("tells of the backends of its own route alone", () => {
    const { listeners, listen } = start();
    const all = listen("a", "/all");
    const some = listen("b", "/some");
    const gone = listen("c", "/gone");
    listeners.changed("mail", "tools");
    vi.advanceTimersByTime(BURST_MS);
    listeners.changed("git", "prompts");
    vi.advanceTimersByTime(BURST_MS);
    expect(all.heard()).toEqual(["notifications/prompts/list_changed"]);
    expect(some.heard()).toEqual(["notifications/tools/list_changed", "notifications/prompts/list_changed"]);
    expect(gone.heard()).toEqual([]);
  });

  test("tells of the lists that a new configuration of its route changes, and of those alone", () => {
    const { listen, reconfigure } = start();
    const all = listen("a", "/all");
    const some = listen("b", "/some");
    const filters = { tools: ALL_NAMES, prompts: { allow: [], deny: [] }, resources: ALL_NAMES };
    const members = [memberOf("files"), memberOf("git")];
    reconfigure([
      federatedRoute(members, { path: "/all", filters }),
      federatedRoute([memberOf("git"), memberOf("mail")], { path: "/some" }),
    ]);
    expect(all.heard()).toEqual(["notifications/prompts/list_changed"]);
    reconfigure([federatedRoute(members, { path: "/all", filters, instructions: "Others." })]);
    expect(all.heard()).toHaveLength(1);
    expect(some.heard()).toEqual([]);
  });

  test("tells of all lists where its route has another backend", () => {
    const { listen, reconfigure } = start();
    const { heard } = listen("a", "/all");
    reconfigure([federatedRoute([memberOf("files")], { path: "/all" })]);
    expect(heard()).toEqual([
      "notifications/tools/list_changed",
      "notifications/prompts/list_changed",
      "notifications/resources/list_changed",
    ]);
  });

  test("ends where its session opens another one, which goes on", () => {
    const { listeners, listen, uses } = start();
    const first = listen("a");
    const second = listen("a");
    expect(first.state()).toBe("ended");
    expect(listeners.size).toBe(1);
    listeners.changed("files", "tools");
    vi.advanceTimersByTime(BURST_MS);
    expect(second.heard()).toHaveLength(1);
    expect(uses).toEqual(["a"]);
  });

  test("that ends keeps nothing, though its client does not read, and its connection stays", () => {
    const { listeners, looks, uses } = start();
    const written: string[] = [];
    const sink: StreamSink = {
      unread: 10 * MOST_UNREAD,
      drained: () => new Promise(() => undefined),
      write: (bytes) => void written.push(Buffer.from(bytes).toString()),
      end: () => void written.push("end"),
      cut: () => undefined,
    };
    const request = { headers: fields({}), query: "" };
    const of = { key: "a", owner: "", path: "/all" };
    for (let n = 0; n < 5; n++) listeners.open(of, request, sink);
    listeners.end("a");
    expect(listeners.size).toBe(0);
    expect(uses).toEqual([]);
    expect(looks.filter((look) => look === "a left")).toHaveLength(5);
    expect(written.filter((one) => one === "end")).toHaveLength(5);
  });

  test("counts as use of its session until its client has left", () => {
    const { listeners, listen, uses } = start();
    const one = listen("a");
    listen("b");
    expect(uses).toEqual(["a", "b"]);
    one.left();
    one.left();
    expect(uses).toEqual(["b"]);
    expect(listeners.size).toBe(1);
  });

  test("is cut where its client reads nothing for long", () => {
    const { listeners, listen } = start();
    const { leave, state } = listen("a");
    leave(MOST_UNREAD + 1);
    vi.advanceTimersByTime(MOST_STUCK_TICKS * COMMENT_MS);
    expect(state()).toBe("open");
    vi.advanceTimersByTime(COMMENT_MS);
    expect(state()).toBe("cut");
    expect(listeners.size).toBe(0);
  });

  test("lets a client take its time that reads, and tells it then what has changed meanwhile", () => {
    const { listeners, listen } = start();
    const { leave, state, heard } = listen("a");
    for (let unread = 10 * MOST_UNREAD; unread > MOST_UNREAD; unread -= MOST_UNREAD) {
      leave(unread);
      listeners.changed("files", "tools");
      vi.advanceTimersByTime(COMMENT_MS);
    }
    expect(heard()).toEqual([]);
    leave(0);
    vi.advanceTimersByTime(COMMENT_MS);
    expect(heard()).toEqual(["notifications/tools/list_changed"]);
    expect(state()).toBe("open");
  });

  test("tells a client that comes back of lists that have changed meanwhile", () => {
    const { listen, offer } = start();
    offer("one");
    const headers = { "mcp-protocol-version": "2025-11-25" };
    const before = listen("a", "/all", headers);
    const [, last = ""] = /^id: (.*)\ndata: \n\n$/.exec(before.text()) ?? [];
    expect(last).toBe("sone");
    const same = listen("a", "/all", { ...headers, "last-event-id": last });
    offer("two");
    const changed = listen("a", "/all", { ...headers, "last-event-id": last });
    vi.advanceTimersByTime(BURST_MS);
    expect(same.heard()).toEqual([]);
    expect(changed.heard()).toEqual([
      "notifications/tools/list_changed",
      "notifications/prompts/list_changed",
      "notifications/resources/list_changed",
    ]);
    expect(changed.text()).toContain("id: stwo\nevent: message\n");
  });

  test("looks what sessions its client has: at once, when told, when its route has changed, and now and then", () => {
    const { listeners, listen, reconfigure, looks } = start();
    const { left } = listen("a");
    expect(looks).toEqual(["a"]);
    listeners.look("a");
    listeners.look("nobody's");
    expect(looks).toEqual(["a", "a"]);
    reconfigure([]);
    expect(looks).toHaveLength(3);
    vi.advanceTimersByTime(4 * COMMENT_MS);
    expect(looks).toHaveLength(4);
    left();
    expect(looks.at(-1)).toBe("a left");
  });

  test("ends with the process", () => {
    const { listeners, listen } = start();
    const { state } = listen("a");
    listeners.changed("files", "tools");
    listeners.close();
    expect(state()).toBe("ended");
    expect(vi.getTimerCount()).toBe(0);
  });
});
