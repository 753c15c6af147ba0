/** Paths of URLs. */
import * as z from "zod";

const pathExpected = 'a path such as "/mcp": no query, no empty, dotted or percent-escaped segment';
/** A path that Envoy's normalization does not change, but for a trailing slash. */
export const path = z
  .string(`expected ${pathExpected}`)
  .regex(/^(?:\/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+\/?$|^\/$/, `expected ${pathExpected}`)
  .meta({ title: pathExpected });

const backendPathExpected =
  'a path such as "/mcp": it begins with "/", and has no query, fragment, white space or control character ' +
  "(percent-encode what is not ASCII)";
/** A path at a backend, which is sent as written: nothing normalizes it, so a trailing slash matters. */
export const backendPath = z
  .string(`expected ${backendPathExpected}`)
  .regex(/^\/[!"$->@-~]*$/, `expected ${backendPathExpected}`)
  .meta({ title: backendPathExpected });
