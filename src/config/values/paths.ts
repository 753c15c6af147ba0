/** Paths of a configuration file. `title` is what is expected of one. */
import * as z from "zod";

const pathExpected = 'a path such as "/mcp": no query, no empty, dotted or percent-escaped segment';
/**
 * A URL path without query, fragment, empty, dot or escaped segments: what Envoy's normalization leaves as it is. With a slash at
 * its end or without, as it is written.
 */
export const path = z
  .string(`expected ${pathExpected}`)
  .regex(/^(?:\/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+\/?$|^\/$/, `expected ${pathExpected}`)
  .meta({ title: pathExpected });

const backendPathExpected =
  'a path such as "/mcp": it begins with "/", and has no query, fragment, white space or control character ' +
  "(percent-encode what is not ASCII)";
/** A path at a backend, which goes there as it is written: nothing normalizes it, so it may end in a slash. */
export const backendPath = z
  .string(`expected ${backendPathExpected}`)
  .regex(/^\/[!"$->@-~]*$/, `expected ${backendPathExpected}`)
  .meta({ title: backendPathExpected });
