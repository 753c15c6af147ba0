/** Reads files of pins from disk. */
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import type { Config } from "../config/load.ts";
import { ConfigError } from "../config/read.ts";
import { whyUnreadable } from "../config/unreadable.ts";
import type { Accepted } from "../core/federation/pins.ts";
import { federationOf, type Route } from "../core/routes.ts";
import { acceptedIn, LARGEST_FILE, type PinnedTool, readPins } from "./file.ts";

/** A file as it was read last. */
export interface PinsOnDisk extends Accepted {
  readonly text: string;
}

type ReadPins =
  | { readonly ok: true; readonly pins: PinsOnDisk; readonly tools: readonly PinnedTool[] }
  | { readonly ok: false; readonly why: string; readonly isMissing: boolean };

/** What makes the file, or mends it. */
const MAKE_IT =
  "accept the tools that the backends offer now by `mcp-router pin --all` for this configuration, which writes it";

/** @throws Error where it cannot be read, or is too large: no more of it is read than it may have */
export async function textOfPins(file: string): Promise<string> {
  const bytes = await buffer(createReadStream(resolve(file), { end: LARGEST_FILE }));
  if (bytes.length > LARGEST_FILE) throw new Error(`it has more than ${LARGEST_FILE} bytes (16 MiB)`);
  return bytes.toString();
}

/** Never rejects. */
export async function pinsOnDisk(file: string): Promise<ReadPins> {
  try {
    const text = await textOfPins(file);
    const read = readPins(text);
    if (!read.ok) return { ok: false, why: read.errors.join("; "), isMissing: false };
    return { ok: true, pins: { text, ...acceptedIn(text, read.tools) }, tools: read.tools };
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return { ok: false, why: whyPinsUnreadable(error), isMissing };
  }
}

export function whyPinsUnreadable(error: unknown): string {
  return error instanceof Error && !("code" in error) ? error.message : whyUnreadable(error);
}

/** The files that routes name, each with the first route's setting. */
export function pinFilesOf({ routes }: Pick<Config, "routes">): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [index, route] of routes.entries()) {
    const file = federationOf(route)?.pins?.file;
    if (file !== undefined && !files.has(file)) files.set(file, `routes[${index}].tools.pin`);
  }
  return files;
}

/** What is wrong with a file, in words. */
export function pinFault(setting: string, file: string, { why, isMissing }: Extract<ReadPins, { ok: false }>): string {
  return `${setting}: cannot read ${resolve(file)}: ${why}${isMissing ? `; ${MAKE_IT}` : ""}`;
}

/**
 * The configuration with what its files accept.
 * @param file the configuration's
 * @throws ConfigError where one is missing, or cannot be read
 */
export async function pinnedConfig(file: string, config: Config): Promise<Config> {
  const all = await Promise.all(
    Array.from(pinFilesOf(config), async ([of, setting]) => ({ of, setting, read: await pinsOnDisk(of) })),
  );
  const faults = all.flatMap(({ of, setting, read }) => (read.ok ? [] : [pinFault(setting, of, read)]));
  if (faults.length > 0) throw new ConfigError(file, faults);
  const found = new Map(all.flatMap(({ of, read }) => (read.ok ? [[of, read.pins]] : [])));
  return { ...config, routes: withPins(config.routes, found) };
}

/** The routes with what their files accept. A file that is not there accepts nothing. */
export function withPins(routes: readonly Route[], found: ReadonlyMap<string, Accepted>): readonly Route[] {
  return routes.map((route) => {
    const pinned = route.kind === "federated" && route.pins ? found.get(route.pins.file) : undefined;
    if (route.kind !== "federated" || !route.pins || !pinned) return route;
    const { accepted, version } = pinned;
    return { ...route, pins: { ...route.pins, accepted, version } };
  });
}
