/** The manifests as `kubectl kustomize` renders them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { temporaryDirectory } from "../../harness/temporary.ts";

const ROOT = join(import.meta.dirname, "../..");
const KUBECTL = join(ROOT, ".tools/kubectl/bin/kubectl");

/** An object of Kubernetes, as far as tests look into it. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: whatever kind it is, a test knows its fields.
  readonly spec: any;
  readonly data?: Readonly<Record<string, string>>;
}

/** @param directory below k8s/, such as `overlays/envoy` */
export function render(directory: string): string {
  return renderDirectory(join(ROOT, "k8s", directory));
}

/** A directory of one's own beside k8s/, which its kustomization calls `../k8s`. */
export function renderOwn(files: Readonly<Record<string, string>>): string {
  const { path: directory, remove } = temporaryDirectory("overlay");
  try {
    symlinkSync(join(ROOT, "k8s"), join(directory, "k8s"));
    const own = join(directory, "own");
    mkdirSync(own);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text);
    return renderDirectory(own);
  } finally {
    remove();
  }
}

function renderDirectory(path: string): string {
  if (!existsSync(KUBECTL)) throw new Error(`no kubectl at ${KUBECTL}: run "make tools"`);
  const { status, stdout, stderr } = spawnSync(KUBECTL, ["kustomize", path], { encoding: "utf8" });
  if (status !== 0) throw new Error(`kubectl kustomize ${path}: ${stderr}`);
  return stdout;
}

export function manifestsOf(rendered: string): Manifest[] {
  return parseAllDocuments(rendered).map((document) => document.toJS() as Manifest);
}

/** The one of a kind and name. */
export function pick(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind && one.metadata.name === name);
  const [only] = found;
  if (!only || found.length > 1) throw new Error(`${found.length} manifests are ${kind}/${name}`);
  return only;
}
