/**
 * Whether a text says that a session is not known. Each server has its own wording, so the kind of the words decides.
 * docs/lost-sessions.md lists what real servers say, and a test reads it. Pure.
 */

/** Most words between a session and what is said of it: about a sentence. */
const BESIDE = 8;
/** Most words between "no" or "not" and what it denies ("not a valid session"). */
const DENIED_WITHIN = 3;

/** Names in code that do not separate their words: `sessionnotfound`. */
const RUN_TOGETHER =
  /session(?:id)?(?:notfound|expired|unknown|invalid|missing|terminated)|(?:unknown|invalid|expired|stale)session/;
/** Said of a session, these mean that it does not exist, or not for this request. */
const GONE = new Set(
  (
    "unknown unrecognized unrecognised expired expires invalid invalidated missing stale terminated closed ended gone lost " +
    "deleted destroyed evicted removed dead inactive mismatch mismatched mismatching required nonexistent inexistent absent " +
    "revoked disconnected uninitialized uninitialised timeout unestablished"
  ).split(" "),
);
const DENIALS: ReadonlySet<string> = new Set(["no", "not", "never", "cannot", "without"]);
/** Denied of a session, these mean the same: "not found", "does not exist", "no longer", "no such". */
const DENIED = new Set(
  (
    "found find valid exist exists existing known know recognized recognised active alive live open established initialized " +
    "initialised associated bound belong belongs match matches longer such registered located present started created owned"
  ).split(" "),
);
/** Between "no" and "session", these speak of sessions to come ("no new sessions"), not of those that exist. */
const MORE = new Set(["new", "more", "free", "additional", "further", "other"]);
/** After "session", these name what keeps or counts sessions ("session store not found", "session limit"). */
const OF_SESSIONS = new Set(
  "store storage manager service server backend database cache redis limit limits quota count capacity config configuration mode type".split(
    " ",
  ),
);
/** These may be "not initialized" in place of a session: "server not initialized". */
const INITIALIZED = new Set(["server", "transport", "client", "connection", "mcp"]);
/** Words that may stand before a bare "not initialized": names of errors, and auxiliary verbs. */
const PREAMBLE = new Set(
  "bad request error errors message msg detail details reason code status invalid is has was been yet it null".split(
    " ",
  ),
);
/** Beside "initialize", these say that it must come first. */
const FIRST = new Set("first expect expected expects must before required requires send need needs needed".split(" "));
/** Beside "version", these are about the protocol version, not about a session. */
const OF_A_VERSION = new Set("invalid missing required mismatch mismatched mismatching valid match matches".split(" "));

export function saysSessionUnknown(text: string): boolean {
  const words = wordsOf(text);
  const sessions: number[] = [];
  const conditions: number[] = [];
  for (const [at, word] of words.entries()) {
    if (isSession(word) && !OF_SESSIONS.has(words[at + 1] ?? "")) sessions.push(at);
    if (asksToInitialize(words, at)) return true;
    if (isCondition(words, at)) conditions.push(at);
  }
  let from = 0;
  // Both lists are in order, so each entry is looked at once.
  for (const at of conditions) {
    while (from < sessions.length && (sessions[from] ?? 0) < at - BESIDE) from++;
    const session = sessions[from];
    if (session !== undefined && session <= at + BESIDE) return true;
  }
  return false;
}

/** Splits a text into words in lower case, names in code too: `SessionNotFound`, `session_expired`, `Mcp-Session-Id`. */
function wordsOf(text: string): readonly string[] {
  const apart = text
    .replace(/n['’]t\b/gi, " not")
    .replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ")
    .toLowerCase();
  return apart.match(/[a-z0-9]+/g) ?? [];
}

/** `sessionid` counts, and "transport", since some servers keep one for each session: "No transport found". */
function isSession(word: string): boolean {
  return word.includes("session") || word === "transport";
}

function isCondition(words: readonly string[], at: number): boolean {
  const word = words[at] ?? "";
  if (GONE.has(word)) return !isOfVersion(words, at);
  if (RUN_TOGETHER.test(word)) return true;
  if (word === "timed" && words[at + 1] === "out") return true;
  if (!DENIALS.has(word)) return false;
  for (let n = at + 1; n <= at + DENIED_WITHIN; n++) {
    const denied = words[n] ?? "";
    if (MORE.has(denied)) return false;
    if (DENIED.has(denied)) return !isOfVersion(words, n);
    if (isSession(denied) && !OF_SESSIONS.has(words[n + 1] ?? "")) return word === "no" || word === "without";
  }
  return false;
}

function isOfVersion(words: readonly string[], at: number): boolean {
  return OF_A_VERSION.has(words[at] ?? "") && words.slice(Math.max(0, at - 4), at + 4).some(isVersion);
}

function isVersion(word: string): boolean {
  return word.startsWith("version");
}

/** "Server not initialized", "expect initialize request", "send an initialize request first". */
function asksToInitialize(words: readonly string[], at: number): boolean {
  const word = words[at] ?? "";
  if (!/^(?:un)?initiali[sz]/.test(word)) return false;
  const before = words.slice(Math.max(0, at - 4), at);
  const isDenied = word.startsWith("un") || before.slice(-2).some((each) => DENIALS.has(each));
  if (isDenied) {
    const isBare = words.slice(0, at).every((each) => DENIALS.has(each) || PREAMBLE.has(each));
    return isBare || before.some((each) => INITIALIZED.has(each));
  }
  return [...before, ...words.slice(at + 1, at + 4)].some((each) => FIRST.has(each));
}
