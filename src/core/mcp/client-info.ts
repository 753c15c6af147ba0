/** Reads the name that a client gives itself in an initialize: `params.clientInfo` (MCP 2025-11-25, lifecycle, "Initialization"). Pure. */
import { headerValueStart } from "../header-value.ts";
import { OPEN_BRACE } from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { Scanner } from "../json/scan.ts";
import type { Span } from "../json/span.ts";

/** Bytes of a header value. Together with the space between them below the 200 characters that the access log keeps of a claim. */
const LONGEST_NAME = 128;
const LONGEST_VERSION = 64;

const CLIENT_INFO = new Keys(["clientInfo"]);
const NAME_AND_VERSION = new Keys(["name", "version"]);
const NAME = 0;

/**
 * "name version" as a header value, each percent-encoded and cut where it is long, so that the one space is between them; the name
 * alone where there is no version. Undefined where the client gives no name, or gives a member twice: parsers differ in which one
 * they take. The claim is only logged, so a cut or an absent one refuses nothing.
 *
 * Reads the params a second time, so only an initialize pays for it, and `limits.initialize` bounds it.
 * @param params of a body that was read; at most `depth` deep
 */
export function clientLabel(body: Uint8Array, params: Span, depth: number): string | undefined {
  const scanner = new Scanner(body.subarray(params.start, params.end), depth, LONGEST_NAME);
  let label: string | undefined;
  let times = 0;
  for (let member = scanner.firstMember(CLIENT_INFO); member >= 0; member = scanner.nextMember(CLIENT_INFO)) {
    times++;
    if (scanner.peek() === OPEN_BRACE) label = labelAt(scanner);
    else scanner.skip();
  }
  return times === 1 ? label : undefined;
}

/** Past the object at the cursor. */
function labelAt(scanner: Scanner): string | undefined {
  let name = "";
  let version = "";
  let names = 0;
  let versions = 0;
  for (let member = scanner.firstMember(NAME_AND_VERSION); member >= 0; member = scanner.nextMember(NAME_AND_VERSION)) {
    const text = scanner.stringIfAny()?.value ?? "";
    if (member === NAME) {
      name = text;
      names++;
    } else {
      version = text;
      versions++;
    }
  }
  if (names > 1 || versions > 1 || name === "") return undefined;
  const label = headerValueStart(name, LONGEST_NAME);
  return version === "" ? label : `${label} ${headerValueStart(version, LONGEST_VERSION)}`;
}
