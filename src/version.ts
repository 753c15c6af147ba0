/** The version of this program, as it tells it to MCP clients and servers. */
import { readFileSync } from "node:fs";

// package.json is beside src/ and dist/. It is this package's own, and npm makes none without a version.
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

export const VERSION = version;
