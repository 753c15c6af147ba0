import { EventEmitter } from "node:events";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type TemporaryDirectory, temporaryDirectory } from "../../../harness/temporary.ts";
import { type Watcher, watchFile } from "../../../src/config/watch.ts";

/** What stands in for Node's own while a test needs it to fail, or to happen at a moment of the test's choice. */
const inPlaceOf = vi.hoisted(() => ({
  watch: undefined as ((folder: string, options: object, onEvent: () => void) => unknown) | undefined,
  readFile: undefined as (() => Promise<string>) | undefined,
}));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const watch = (...given: [string, object, () => void]) => (inPlaceOf.watch ?? fs.watch)(...given);
  return { ...fs, watch, default: { ...fs, watch } };
});
vi.mock("node:fs/promises", async (original) => {
  const fs = await original<typeof import("node:fs/promises")>();
  const readFile = (file: string, encoding: "utf8") => inPlaceOf.readFile?.() ?? fs.readFile(file, encoding);
  return { ...fs, readFile, default: { ...fs, readFile } };
});

/** vitest's own second is too short for a busy machine. */
const UNHURRIED = { timeout: 20_000 };

let mount: TemporaryDirectory;
let folder: string;
let file: string;
let told: string[];
const watchers: Watcher[] = [];

beforeEach(() => {
  mount = temporaryDirectory("watch");
  folder = join(mount.path, "config");
  file = join(folder, "mcp-router.yaml");
  mkdirSync(folder);
  writeFileSync(file, "one");
  told = [];
});

afterEach(() => {
  for (const watcher of watchers.splice(0)) watcher.close();
  inPlaceOf.watch = undefined;
  inPlaceOf.readFile = undefined;
  vi.useRealTimers();
  mount.remove();
});

/** Never by polling, unless the test says so: the events have to do. */
function watch(text = "one", times: { settle?: number; poll?: number } = {}): Watcher {
  const handlers = {
    onChange: (now: string) => void told.push(now),
    onUnreadable: () => void told.push("(unreadable)"),
    onUnwatched: () => void told.push("(unwatched)"),
  };
  const watcher = watchFile(file, text, handlers, { settle: 20, poll: 3_600_000, ...times });
  watchers.push(watcher);
  return watcher;
}

/** A folder whose events come when the test says so. */
function eventsByHand() {
  const events = { emit: () => {}, fail: (_: Error) => {}, opened: 0, open: 0 };
  inPlaceOf.watch = (_folder, _options, onEvent) => {
    const watcher = Object.assign(new EventEmitter(), { close: () => void events.open-- });
    events.opened++;
    events.open++;
    events.emit = onEvent;
    events.fail = (error) => void watcher.emit("error", error);
    return watcher;
  };
  return events;
}

describe("events of the folder", () => {
  test("tell a change of the file", async () => {
    watch();
    writeFileSync(file, "two");
    await expect.poll(() => told).toEqual(["two"]);
  });

  test("tell a rename over the file, as editors do", async () => {
    watch();
    writeFileSync(join(folder, "new"), "two");
    renameSync(join(folder, "new"), file);
    await expect.poll(() => told).toEqual(["two"]);
    // It may be read while it is written, on a busy machine.
    writeFileSync(file, "three");
    await expect.poll(() => told.at(-1)).toBe("three");
  });

  test("tell a swap of the folder that Kubernetes links to", async () => {
    const version = (name: string, text: string) => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "mcp-router.yaml"), text);
    };
    version("..v1", "one");
    symlinkSync("..v1", join(folder, "..data"));
    rmSync(file);
    symlinkSync("..data/mcp-router.yaml", file);
    watch();

    version("..v2", "two");
    symlinkSync("..v2", join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    await expect.poll(() => told).toEqual(["two"]);
  });

  test("are one change when they come together: the file is read once they have settled", async () => {
    const events = eventsByHand();
    const watcher = watch("one", { settle: 100 });
    await watcher.check();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const reads = vi.fn(async () => "whole");
    inPlaceOf.readFile = reads;
    events.emit();
    vi.advanceTimersByTime(99);
    events.emit();
    vi.advanceTimersByTime(99);
    expect(reads).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    await vi.waitFor(() => expect(told).toEqual(["whole"]), UNHURRIED);
    expect(reads).toHaveBeenCalledTimes(1);
  });
});

test("a change between the reading of the file and the watch is told", async () => {
  writeFileSync(file, "changed before anyone watched");
  watch("one");
  await expect.poll(() => told).toEqual(["changed before anyone watched"]);
});

test("a file that went and came back as it was is told: whoever was told that it is away must learn of it", async () => {
  const watcher = watch();
  rmSync(file);
  await expect.poll(() => told).toEqual(["(unreadable)"]);
  writeFileSync(file, "one");
  await expect.poll(() => told).toEqual(["(unreadable)", "one"]);
  await watcher.check();
  expect(told).toHaveLength(2);
});

test("a file that cannot be read is told once, and to each caller who asks", async () => {
  const events = eventsByHand();
  const watcher = watch();
  await watcher.check();
  rmSync(file);
  events.emit();
  await expect.poll(() => told).toEqual(["(unreadable)"]);
  events.emit();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(told).toEqual(["(unreadable)"]);
  await watcher.check();
  expect(told).toEqual(["(unreadable)", "(unreadable)"]);
});

test("of two looks at once the later one counts, however long the earlier one reads", async () => {
  const watcher = watch();
  await watcher.check();
  const reads: ((text: string) => void)[] = [];
  inPlaceOf.readFile = () => new Promise((resolve) => reads.push(resolve));
  const first = watcher.check();
  const second = watcher.check();
  await vi.waitFor(() => expect(reads).toHaveLength(1), UNHURRIED);
  reads[0]?.("older");
  await first;
  await vi.waitFor(() => expect(reads).toHaveLength(2), UNHURRIED);
  reads[1]?.("newer");
  await second;
  expect(told).toEqual(["older", "newer"]);
});

test("an error of whoever is told is theirs, not one of reading", async () => {
  const unreadable = vi.fn();
  const onChange = () => {
    throw new Error("theirs");
  };
  const watcher = watchFile(file, "one", { onChange, onUnreadable: unreadable, onUnwatched: () => undefined });
  watchers.push(watcher);
  await watcher.check();
  inPlaceOf.readFile = async () => "two";
  await expect(watcher.check()).rejects.toThrow("theirs");
  expect(unreadable).not.toHaveBeenCalled();
  // And it does not stop the next look.
  await expect(watcher.check()).resolves.toBeUndefined();
});

describe("without events", () => {
  test("a folder that cannot be watched is told once, and changes are seen all the same", async () => {
    inPlaceOf.watch = () => {
      throw Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), { code: "ENOSPC" });
    };
    watch("one", { poll: 20 });
    expect(told).toEqual(["(unwatched)"]);
    writeFileSync(file, "two");
    await expect.poll(() => told).toEqual(["(unwatched)", "two"]);
  });

  test("a watch that fails is told, not as a file that cannot be read, and is made again", async () => {
    const events = eventsByHand();
    const watcher = watch("one", { poll: 20 });
    await watcher.check();
    events.fail(new Error("EIO"));
    expect(told).toEqual(["(unwatched)"]);
    await expect.poll(() => events.open).toBe(1);
    events.fail(new Error("EIO"));
    expect(told).toEqual(["(unwatched)", "(unwatched)"]);
  });

  test("a folder that was removed and made again is watched again", async () => {
    watch("one", { poll: 50 });
    rmSync(folder, { recursive: true });
    await expect.poll(() => told).toEqual(["(unreadable)"]);
    mkdirSync(folder);
    writeFileSync(file, "two");
    await expect.poll(() => told).toContain("two");
    writeFileSync(file, "three");
    await expect.poll(() => told.filter((line) => !line.startsWith("("))).toEqual(["two", "three"]);
  });

  test("the folder is watched again once polling found what no event told", async () => {
    const events = eventsByHand();
    const watcher = watch("one", { poll: 20 });
    await watcher.check();
    writeFileSync(file, "two");
    await expect.poll(() => told).toEqual(["two"]);
    await expect.poll(() => events.opened).toBe(2);
    expect(events.open).toBe(1);
  });
});

test("nothing is told once it is closed", async () => {
  const events = eventsByHand();
  const watcher = watch("one", { poll: 10 });
  await watcher.check();
  let finish = (_: string) => {};
  inPlaceOf.readFile = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  const looking = watcher.check();
  await new Promise((resolve) => setTimeout(resolve, 30));
  watcher.close();
  finish("two");
  await looking;
  await watcher.check();
  expect({ told, open: events.open }).toEqual({ told: [], open: 0 });
});
