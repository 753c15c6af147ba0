/** Looks for the files that a configuration names, on the machine that this runs on. */
import { access, constants, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { secretFilesOf } from "../core/credentials.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";
import type { Config } from "./load.ts";
import { whyUnreadable } from "./unreadable.ts";

export interface MissingFiles {
  /** Files of the router, which cannot start without them. */
  readonly errors: readonly string[];
  /** Files of Envoy, which may run on another machine: then there are only `warnings` of them. */
  readonly envoys: readonly string[];
  readonly warnings: readonly string[];
}

export async function missingFiles(config: Config): Promise<MissingFiles> {
  const [own, envoys] = await Promise.all([missing(ownFiles(config)), missing(envoysFiles(config))]);
  return {
    errors: own.map(inWords),
    envoys: envoys.map(inWords),
    warnings: envoys.map(
      ([setting, file, why]) => `${setting}: ${file} cannot be read here: ${why}; Envoy needs it on its machine`,
    ),
  };
}

function inWords([setting, file, why]: Missing): string {
  return `${setting}: cannot read ${resolve(file)}: ${why}`;
}

type Missing = readonly [setting: string, file: string, why: string];
/** `fault`: what is wrong with the text of the file. */
type Named = readonly [setting: string, file: string | undefined, fault?: (text: string) => string | undefined];

function ownFiles({ store, backends }: Config): Named[] {
  return [...filesOfStore(store), ...secretFilesOf(backends).map(({ setting, file }): Named => [setting, file])];
}

function filesOfStore(store: Config["store"]): Named[] {
  if (store.kind !== "redis") return [];
  const { tls, password } = store;
  return [
    ["store.passwordFile", password?.kind === "file" ? password.file : undefined],
    ["store.tls.ca", tls?.ca],
    ["store.tls.cert", tls?.cert],
    ["store.tls.key", tls?.key],
  ];
}

function envoysFiles({ gateway, backends, identity }: Config): Named[] {
  const jwks = identity.kind === "jwt" ? identity.jwks : undefined;
  return [
    ["gateway.tls.cert", gateway.tls?.cert],
    ["gateway.tls.key", gateway.tls?.key],
    ...backends.map(({ name, tls }): Named => [`backends.${name}.tls.ca`, tls?.ca]),
    ["identity.jwks.file", jwks?.kind === "file" ? jwks.file : undefined, keySetFault],
    ["identity.jwks.ca", jwks?.kind === "uri" ? jwks.ca : undefined],
  ];
}

async function missing(named: readonly Named[]): Promise<Missing[]> {
  const looks = named.map(async ([setting, file, fault]) => {
    if (file === undefined) return [];
    const look = fault ? readFile(file, "utf8").then(fault) : access(file, constants.R_OK).then(() => undefined);
    const why = await look.catch(whyUnreadable);
    return why === undefined ? [] : [[setting, file, why] as const];
  });
  return (await Promise.all(looks)).flat();
}

/** Envoy refuses such a file, and goes on without tokens where it had none. */
function keySetFault(text: string): string | undefined {
  const set = parseJson(text);
  return isJsonObject(set) && Array.isArray(set.keys)
    ? undefined
    : 'expected a JSON Web Key Set (RFC 7517), as {"keys":[…]}';
}
