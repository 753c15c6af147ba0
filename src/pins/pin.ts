/** `mcp-router pin`: shows what operators have not accepted yet, and accepts it. */
import { mkdir, open, realpath, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createEgress } from "../backends/client.ts";
import { routersOwnCredentials } from "../check/credentials.ts";
import type { Config } from "../config/load.ts";
import { formatAddress } from "../core/address.ts";
import { DIGEST } from "../federation/tool-digest.ts";
import { accepting, acceptingDigest, type Difference, describeDifference, differences } from "./difference.ts";
import { createDirectEgress } from "./direct.ts";
import { type PinnedTool, pinsText, visible } from "./file.ts";
import { type OfferedOnRoutes, offeredOnPinned } from "./offered.ts";
import { pinsOnDisk } from "./read.ts";

export interface PinOptions {
  /** Names of tools, or `name=digest`. */
  readonly accept?: readonly string[] | undefined;
  readonly all?: true;
  readonly dryRun?: true;
  /** Ask the backends themselves. */
  readonly direct?: true | undefined;
}

/** What was found, and what was done about it. */
interface Pinned {
  /** For stdout. */
  readonly lines: readonly string[];
  readonly errors: readonly string[];
  /** Whether what was wanted is accepted, or nothing differed. */
  readonly isDone: boolean;
}

/** @throws Error that says what to do, where a file cannot be read or written */
export async function pin(config: Config, options: PinOptions): Promise<Pinned> {
  const credentials = routersOwnCredentials(config);
  const egress = options.direct
    ? createDirectEgress(config.backends, credentials)
    : createEgress(`http://${formatAddress(config.egress.address)}`, credentials);
  const offered = await offeredOnPinned(config, egress);
  await egress.close();
  if (offered.length === 0) throw new Error("no route has tools.pin: set it to the path of a file, and run this again");
  const files = await Promise.all(offered.map(async (on) => ({ on, pinned: await toolsIn(on.file) })));
  const found = files.map(({ on, pinned }) => ({ on, pinned, differing: differences(pinned, on) }));
  mustBeThere(options.accept ?? [], found);
  const done = await Promise.all(found.map((of) => settle(of, options)));
  const silent = new Map(offered.flatMap((on) => [...on.silent]));
  return {
    lines: done.flatMap(({ lines }) => lines),
    errors: Array.from(silent, ([backend, why]) => `backend ${backend} does not tell its tools: ${why}`).map(visible),
    isDone: done.every(({ isDone }) => isDone) && silent.size === 0,
  };
}

interface Found {
  readonly on: OfferedOnRoutes;
  readonly pinned: readonly PinnedTool[];
  readonly differing: readonly Difference[];
}

async function toolsIn(file: string): Promise<readonly PinnedTool[]> {
  const read = await pinsOnDisk(file);
  if (!read.ok && read.isMissing) return [];
  if (!read.ok) throw new Error(`${file}: ${read.why}; mend the file, or remove it to accept all anew`);
  return read.tools;
}

function mustBeThere(accept: readonly string[], found: readonly Found[]): void {
  const wrong = accept.filter((name) => {
    const given = digestIn(name);
    if (given) return !found.some(({ on }) => personalOwner(on, given.name));
    return !found.some(({ differing }) => differing.some((difference) => difference.name === name));
  });
  if (wrong.length === 0) return;
  throw new Error(
    wrong
      .map((name) =>
        digestIn(name)
          ? `--accept ${name}: no backend of a pinned route has lists: principal and such a name; of others give the name alone`
          : `--accept ${name}: no tool of this name differs from what was accepted`,
      )
      .join("\n"),
  );
}

function digestIn(accepted: string): { readonly name: string; readonly digest: string } | undefined {
  const [name = "", digest = "", ...more] = accepted.split("=");
  return DIGEST.test(digest) && more.length === 0 ? { name, digest } : undefined;
}

/** The backend that a tool is of by its name, of those whose lists nobody but their clients can see. */
function personalOwner({ personal }: OfferedOnRoutes, name: string): string | undefined {
  const owners = [...personal].filter(([, prefix]) => name.startsWith(prefix) && name.length > prefix.length);
  return owners.toSorted(([, one], [, other]) => other.length - one.length)[0]?.[0];
}

async function settle(
  { on, pinned, differing }: Found,
  { all, accept = [], dryRun }: PinOptions,
): Promise<{ readonly lines: readonly string[]; readonly isDone: boolean }> {
  const accepted = differing.filter(({ name }) => all || accept.includes(name));
  let tools = accepting(pinned, accepted);
  const given = accept.flatMap((name) => digestIn(name) ?? []);
  for (const { name, digest } of given) {
    const backend = personalOwner(on, name);
    if (backend !== undefined) tools = acceptingDigest(tools, { name, backend, digest });
  }
  const isWritten = !dryRun && (all === true || accepted.length > 0 || given.length > 0);
  if (isWritten) await replaceFile(on.file, pinsText(tools));
  const [kept, left] = isWritten ? [tools, differing.length - accepted.length] : [pinned, differing.length];
  return {
    lines: [
      ...differing.flatMap(describeDifference).map(visible),
      ...Array.from(on.personal.keys(), personalInWords),
      `${on.file}: ${isWritten ? "written, " : ""}${summary(kept.length, left)}`,
    ],
    isDone: isWritten || differing.length === 0,
  };
}

function personalInWords(backend: string): string {
  return (
    `backend ${backend} offers each principal something else, and was not asked: accept a tool of it by the digest in the ` +
    "router's log, --accept NAME=DIGEST"
  );
}

function summary(tools: number, left: number): string {
  const has = `${tools} ${tools === 1 ? "tool" : "tools"}`;
  return left === 0 ? `${has}, all as accepted` : `${has}; not accepted as they are: ${left} (--accept NAME, or --all)`;
}

/** Whole or not at all, also where the path is a link. */
async function replaceFile(file: string, text: string): Promise<void> {
  const path = await realpath(resolve(file)).catch(() => resolve(file));
  const beside = `${path}.${process.pid}.new`;
  await mkdir(dirname(path), { recursive: true });
  try {
    const written = await open(beside, "w");
    try {
      await written.writeFile(text);
      await written.sync();
    } finally {
      await written.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
