/** Writes a first configuration, from the URLs of the servers. */
import { writeFile } from "node:fs/promises";
import { loadConfig } from "../config/load.ts";
import { type Asked, askServer, noServerInWords } from "./ask.ts";
import { firstConfiguration } from "./configuration.ts";
import { backendNames } from "./names.ts";

interface InitOptions {
  readonly urls: readonly string[];
  /** Where it is written. */
  readonly file: string;
  /** Whether a file may be there. */
  readonly force: boolean;
  /** The router's own version. */
  readonly version: string;
}

interface Written {
  /** The servers that the file has, in words. */
  readonly lines: readonly string[];
}

/** @throws Error with what to do, a line for each thing that is wrong; then nothing is written */
export async function init({ urls, file, force, version }: InitOptions): Promise<Written> {
  const asked = await Promise.all(
    urls.map(async (url) => ({ url, asked: isWebUrl(url) ? await askServer({ url, version }) : undefined })),
  );
  const wrong = asked.flatMap(({ url, asked }) => {
    if (asked === undefined) return [`${url}: ${NO_URL}`];
    return asked.kind === "none" ? [`${url}: ${noServerInWords(asked.cause)}`] : [];
  });
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  const names = backendNames(
    asked.map(({ url, asked }) => ({ url, name: asked?.kind === "server" ? asked.name : undefined })),
  );
  const servers = asked.map(({ url, asked }, index) => ({ url, name: names[index] ?? "", about: inWords(asked) }));
  const text = firstConfiguration(servers);
  const loaded = loadConfig(text);
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  await writeFile(file, text, { flag: force ? "w" : "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    throw new Error(`${file} is there already: write another one with --out, or replace it with --force`);
  });
  return { lines: servers.map(({ name, url, about }) => `${name}  ${url}  ${about}`) };
}

const NO_URL = "no URL of an MCP server: write it as http://127.0.0.1:3001/mcp";

function isWebUrl(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text);
}

function inWords(asked: Asked | undefined): string {
  switch (asked?.kind) {
    case "server":
      return `${asked.name ?? "a server"}${asked.version === undefined ? "" : ` ${asked.version}`}, MCP ${asked.protocol}`;
    case "guarded":
      return `it answers ${asked.status} without credentials: clients' own go on to it`;
    default:
      return "";
  }
}
