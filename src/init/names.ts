/** Names of backends, made of what servers call themselves. Pure. */

/** Names of tools begin with it, and have 64 characters at most. */
const LONGEST = 24;

/** What says nothing about a server among servers. */
const EMPTY_WORDS: ReadonlySet<string> = new Set(["mcp", "server", "servers", "service", "example", "com", "www"]);

/**
 * A name for each, in their order, of which no two are the same: `files`, `files-2`.
 * @param servers what a server calls itself, or its URL where it does not say
 */
export function backendNames(
  servers: readonly { readonly name: string | undefined; readonly url: string }[],
): readonly string[] {
  const taken = new Set<string>();
  return servers.map(({ name, url }) => {
    const base = nameOf(name ?? "") ?? nameOf(new URL(url).hostname) ?? "server";
    let free = base;
    for (let number = 2; taken.has(free); number++) free = `${base}-${number}`;
    taken.add(free);
    return free;
  });
}

/** undefined: there is nothing in it that a name may have. */
function nameOf(text: string): string | undefined {
  // "TimeServer" has two words.
  const words = text
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  const telling = words.filter((word) => !EMPTY_WORDS.has(word));
  const name = (telling.length > 0 ? telling : words).join("-").slice(0, LONGEST).replace(/-+$/, "");
  return name === "" ? undefined : name;
}
