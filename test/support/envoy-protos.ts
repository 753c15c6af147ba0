/** Envoy's messages: by this project's protos, and by an independent copy of Envoy's own. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/google/protobuf/descriptor.json" with { type: "json" };

const ROOT = join(import.meta.dirname, "../..");
export const PROTOS = join(ROOT, "proto");
/** Older than ours: it lacks what Envoy has added since. */
const COPY = join(ROOT, "node_modules/@grpc/grpc-js-xds/deps");

// Envoy's protos import it for their annotations; protobufjs bundles it, but not by itself.
protobuf.common("descriptor", descriptor.nested.google.nested.protobuf.nested);

/** @param file such as `envoy/service/ext_proc/v3/external_processor.proto` */
export function ourProtos(file: string): protobuf.Root {
  return load([PROTOS], file);
}

export function theirProtos(file: string): protobuf.Root {
  return load(
    readdirSync(COPY).map((folder) => join(COPY, folder)),
    file,
  );
}

function load(folders: readonly string[], file: string): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    folders.map((folder) => join(folder, target)).find((path) => existsSync(path)) ?? target;
  root.loadSync(file, { keepCase: true }).resolveAll();
  return root;
}
