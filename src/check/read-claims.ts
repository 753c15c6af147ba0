/** Reads the claims of a token for `mcp-router check --as`. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ConfigError } from "../config/read.ts";
import { whyUnreadable } from "../config/unreadable.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";

/** @throws ConfigError if the file cannot be read, or holds no claims */
export async function readClaims(file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(resolve(file), "utf8").catch((error: Error) => {
    throw new ConfigError(file, [`cannot read ${resolve(file)}: ${whyUnreadable(error)}`]);
  });
  const claims = parseJson(text);
  if (isJsonObject(claims)) return claims;
  throw new ConfigError(file, ['expected the claims of a token as JSON, such as {"sub": "ada", "scope": "mcp"}']);
}
