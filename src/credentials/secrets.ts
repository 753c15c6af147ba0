/** Files with secrets: read before they are needed, and again when they change. The last text that is of use stays in use. */
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { whyUnreadable } from "../config/unreadable.ts";
import { type Watcher, watchFile } from "../config/watch.ts";
import { type Credentialed, type SecretFile, type SecretKind, secretFilesOf } from "../core/credentials.ts";
import type { KeyAlgorithm } from "../core/key-algorithms.ts";

/** Most characters of such a file. */
const LONGEST_FILE = 64 * 1024;

/** Told of what becomes of a file. Its text is nowhere in that. */
export type SecretEvent =
  | { readonly kind: "read-again"; readonly file: string; readonly setting: string }
  | { readonly kind: "kept"; readonly file: string; readonly setting: string; readonly why: string };

/** What is wrong with the files, in words: none of them may be used then. */
export function secretFaults(backends: readonly Credentialed[]): readonly string[] {
  return faultsIn(secretFilesOf(backends));
}

function faultsIn(files: readonly SecretFile[]): readonly string[] {
  return files.flatMap((of) => {
    const read = readSecret(of);
    return read.kind === "fault" ? [`${of.setting}: ${read.why}`] : [];
  });
}

type Read = { readonly kind: "text"; readonly text: string } | { readonly kind: "fault"; readonly why: string };

/** Blocks for as long as the file system does: a configuration is put in force in one piece. */
function readSecret(of: SecretFile): Read {
  const { file } = of;
  try {
    return usable(of, readFileSync(file, "utf8"));
  } catch (error) {
    return { kind: "fault", why: `cannot read ${file}: ${whyUnreadable(error)}` };
  }
}

function usable({ kind, file, alg }: SecretFile, written: string): Read {
  const fault = (why: string): Read => ({ kind: "fault", why: `${file} ${why}` });
  if (written.length > LONGEST_FILE) return fault(`has more than ${LONGEST_FILE} characters`);
  const text = kind === "header" || kind === "client-secret" ? written.replace(/\r?\n$/, "") : written;
  if (text.trim() === "") return fault("is empty");
  if (kind === "header" && !/^[\t -~]+$/.test(text)) return fault("is no value of a header: one line of visible ASCII");
  if (kind === "client-key" && !signsBy(text, alg)) return fault(`is no private key in PEM that signs by ${alg}`);
  return { kind: "text", text };
}

/** What a key must be to sign by an algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
const KEY_TYPES: Readonly<Record<KeyAlgorithm, (type: string | undefined, curve: string | undefined) => boolean>> = {
  ES256: (type, curve) => type === "ec" && curve === "prime256v1",
  ES384: (type, curve) => type === "ec" && curve === "secp384r1",
  RS256: (type) => type === "rsa",
  PS256: (type) => type === "rsa" || type === "rsa-pss",
  EdDSA: (type) => type === "ed25519",
};

function signsBy(pem: string, alg: KeyAlgorithm | undefined): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem);
    return alg !== undefined && KEY_TYPES[alg](asymmetricKeyType, asymmetricKeyDetails?.namedCurve);
  } catch {
    return false;
  }
}

/** The texts of the files, read once; those that cannot be used are left out. */
export function textsOf(backends: readonly Credentialed[]): Pick<Secrets, "textOf"> {
  const texts = new Map<string, string>();
  for (const of of secretFilesOf(backends)) {
    const read = readSecret(of);
    if (read.kind === "text") texts.set(keyOf(of.kind, of.file), read.text);
  }
  return { textOf: (kind, file) => texts.get(keyOf(kind, file)) };
}

interface Held {
  readonly watcher: Watcher;
  /** undefined: it could not be used yet. */
  text: string | undefined;
}

export class Secrets {
  readonly #observe: (event: SecretEvent) => void;
  readonly #held = new Map<string, Held>();

  constructor(observe: (event: SecretEvent) => void) {
    this.#observe = observe;
  }

  /** What is wrong with the files of backends that have no text in use, in words; undefined: nothing is. */
  lacks(backends: readonly Credentialed[]): readonly string[] | undefined {
    const faults = faultsIn(secretFilesOf(backends).filter(({ kind, file }) => this.textOf(kind, file) === undefined));
    return faults.length === 0 ? undefined : faults;
  }

  /** From now on these files are held, and no others. One that cannot be used has no text until it can. */
  want(files: readonly SecretFile[]): void {
    const wanted = new Map(files.map((of) => [keyOf(of.kind, of.file), of]));
    for (const [key, of] of wanted) if (!this.#held.has(key)) this.#held.set(key, this.#watch(of));
    for (const [key, { watcher }] of this.#held) {
      if (wanted.has(key)) continue;
      watcher.close();
      this.#held.delete(key);
    }
  }

  /** undefined: the file is not held, or could not be used yet. */
  textOf(kind: SecretKind, file: string): string | undefined {
    return this.#held.get(keyOf(kind, file))?.text;
  }

  close(): void {
    for (const { watcher } of this.#held.values()) watcher.close();
    this.#held.clear();
  }

  #watch(of: SecretFile): Held {
    const { file, setting } = of;
    const first = readSecret(of);
    const text = first.kind === "text" ? first.text : undefined;
    const kept = (why: string) => this.#observe({ kind: "kept", file, setting, why });
    const watcher = watchFile(file, text ?? "", {
      onChange: (written) => {
        const read = usable(of, written);
        if (read.kind === "fault") return kept(read.why);
        if (read.text === held.text) return;
        held.text = read.text;
        this.#observe({ kind: "read-again", file, setting });
      },
      onUnreadable: (error) => kept(`cannot read ${file}: ${whyUnreadable(error)}`),
      // It is read every few seconds all the same.
      onUnwatched: () => undefined,
    });
    const held: Held = { watcher, text };
    return held;
  }
}

function keyOf(kind: SecretKind, file: string): string {
  return `${kind} ${file}`;
}
