/** How far apart several routers may read one change. */

/**
 * ms until each of several routers has read a change that one of them has read. In Kubernetes each node brings its own pods a changed
 * ConfigMap, at its next look at the pod, 60 to 90 s after the one before; on a shared disk all of them see it at once.
 */
export const SEEN_WITHIN = 120_000;
