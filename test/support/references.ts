/** References to documents of the repository, in sources and in documents themselves. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface Reference {
  /** As it is written: from the repository's root, or beside the file that has it. */
  readonly document: string;
  /** A number, as in "## 4. Streams"; the words of a heading; or a heading's anchor. */
  readonly heading?: { readonly number?: string; readonly words?: string; readonly anchor?: string };
}

/** A path, alone or with the number of a heading (§), its words in quotes, or its anchor (#). A comment may wrap in between. */
const REFERENCE =
  /(?<![\w/:.-])((?:\.{0,2}\/)*(?:[\w-]+\/)*[\w-]+\.md)\b(?:#([\w-]+)|,?[ (]+§ ?(\d+)|, "([^"\n]{3,80})")?/g;

/** The end of a comment's line, and what its next line begins with. */
const WRAP = /\n[ \t]*(?:\*|\/\/|#|--|;)[ \t]+/g;

/** The words of a Markdown link, which are for people. */
const LINK_WORDS = /\[[^\]\n]*\](?=\()/g;

export function referencesIn(text: string): Reference[] {
  return [...text.replace(WRAP, " ").replace(LINK_WORDS, "").matchAll(REFERENCE)].map(
    ([, document = "", anchor, number, words]) => {
      if (anchor !== undefined) return { document, heading: { anchor } };
      if (number !== undefined) return { document, heading: { number } };
      return words === undefined ? { document } : { document, heading: { words } };
    },
  );
}

/** What is wrong with a reference in `file`, both from `root`; undefined where it leads to what is there. */
export function faultOf({ document, heading }: Reference, file: string, root: string): string | undefined {
  // The descriptions of settings become docs/configuration.md, and links in them are beside that.
  const beside = file.startsWith("src/config/") ? "docs" : dirname(file);
  const found = [document, join(beside, document)].map((path) => join(root, path)).find((path) => existsSync(path));
  if (found === undefined) return `${file}: there is no ${document}`;
  if (heading === undefined) return undefined;
  const headings = headingsIn(readFileSync(found, "utf8"));
  const { number, words, anchor } = heading;
  if (number !== undefined)
    return headings.some((title) => title.startsWith(`${number}. `))
      ? undefined
      : `${file}: ${document} has no §${number}`;
  if (words !== undefined)
    return headings.includes(words) ? undefined : `${file}: ${document} has no heading "${words}"`;
  return headings.some((title) => anchorOf(title) === anchor) ? undefined : `${file}: ${document} has no #${anchor}`;
}

function headingsIn(text: string): string[] {
  return [...text.replace(/^```.*?^```$/gms, "").matchAll(/^#{1,6} (.+)$/gm)].map(([, title = ""]) => title.trim());
}

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
