/** A folder with one file, as the kubelet mounts a ConfigMap: the file is a link, and a change swaps the folder behind it. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface MountedConfigMap {
  /** Path of the file. */
  readonly file: string;
  /** Brings another text, as the kubelet does once it has seen the change. */
  update(text: string): void;
}

/** @param folder is there already; in it each mount has one of its own */
export function mountConfigMap(folder: string, name: string, text: string): MountedConfigMap {
  let version = 0;
  const put = (next: string) => {
    const of = `..${version}`;
    mkdirSync(join(folder, of));
    writeFileSync(join(folder, of, name), next);
    symlinkSync(of, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    if (version > 0) rmSync(join(folder, `..${version - 1}`), { recursive: true });
    version++;
  };
  put(text);
  symlinkSync(join("..data", name), join(folder, name));
  return { file: join(folder, name), update: put };
}
