/** When an idle session may lose its slot to a new one. Pure. */

/**
 * How long (ms) a use of a session may go unrecorded after another one. A session seems idle for so many ms longer than it is, so
 * it is parked so many ms later. Short, since `admission.sessions` clients that never end their sessions can begin one in each
 * `admission.park` and this time; each record costs a write. An eighth of the idle time, where that is less (sessions/store.ts).
 */
const LONGEST_UNRECORDED_MS = 3_000;

/**
 * A session that no second request has named may be parked when it is this old (ms). Clients send their second request at once, so
 * an older one is abandoned.
 */
export const UNNAMED_PARKED_AFTER_MS = 5_000;

/** Shortest time (ms) between two looks, however short `admission.park` is. */
const SHORTEST_LOOK_MS = 100;

export interface Parking {
  /** ms since the last use of it that is recorded. */
  readonly idle: number;
  /** ms since its initialize, where no second request has named it. */
  readonly unnamed: number;
}

/** Shortest time (ms) between two records of a session's use. @param idle ms without a request after which the session ends */
export function recordedEvery(idle: number): number {
  return Math.min(Math.floor(idle / 8), LONGEST_UNRECORDED_MS);
}

/**
 * How often (ms) to look for long requests, and to record the use of their sessions: often enough that a session with such a request
 * never seems idle enough to be parked. A request is seen at the second look; the last record may be `recordedEvery` older than it.
 */
export function lookEvery(parking: Parking | undefined, idle: number): number {
  const recorded = recordedEvery(idle);
  // A third, where a half would do: timers are late on a busy machine.
  const wanted = parking ? Math.floor((parking.idle - recorded) / 3) : recorded;
  return Math.max(SHORTEST_LOOK_MS, wanted);
}

/** @param park ms for which nothing has used the session; undefined: none is parked */
export function parkingOf(park: number | undefined, idle: number): Parking | undefined {
  if (park === undefined) return undefined;
  return { idle: park + recordedEvery(idle), unnamed: UNNAMED_PARKED_AFTER_MS };
}
