/** What an older Envoy does not do: `make test-envoy-versions` runs the tests on several. */
import { envoyVersion } from "../../harness/envoy.ts";

const [, minor = 0] = envoyVersion().split(".").map(Number);

/**
 * Envoy 1.36 shows the processor no answer of its own: where no endpoint of a backend takes connections the client gets its
 * 503, and nothing can be recovered. Nor does it say by its details that the processor made a head too large.
 */
export const HIDES_OWN_ANSWERS = minor < 37;

/** Envoy 1.36 takes no body above a connection's buffer, whatever request_body_buffer_limit says. */
export const LIMITS_BODIES_BY_CONNECTION = minor < 37;

if (HIDES_OWN_ANSWERS)
  process.stderr.write(
    "Tests of backends that take no connections at all, and of heads that grow too large, are skipped: this Envoy is too old.\n",
  );
