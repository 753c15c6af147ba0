/** Which versions of everything took part in the runs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { envoyVersion } from "../../harness/envoy.ts";

const ROOT = join(import.meta.dirname, "../..");
const Package = z.object({ version: z.string() });

export interface Versions {
  readonly suite: string;
  readonly router: string;
  readonly envoy: string;
  readonly node: string;
  /** The SDK that the server under test is made with. */
  readonly sdk: string;
  /** The server beside it. */
  readonly other: string;
}

export function versions(): Versions {
  return {
    suite: packageVersion("node_modules/@modelcontextprotocol/conformance"),
    router: packageVersion("."),
    envoy: envoyVersion(),
    node: process.versions.node,
    sdk: packageVersion("node_modules/@modelcontextprotocol/server"),
    other: packageVersion("node_modules/@modelcontextprotocol/server-everything"),
  };
}

function packageVersion(folder: string): string {
  return Package.parse(JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8"))).version;
}
