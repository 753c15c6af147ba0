/** The log line about what routers tell each other, where that does not arrive. */
import { reasonOf } from "../redis/watch.ts";
import type { Logger } from "../telemetry/log.ts";
import { seldom } from "../telemetry/seldom.ts";

/** @param isAway whether Redis is: that is said already */
export function signalsObserver(log: Logger, isAway: () => boolean): (error: Error) => void {
  const isDue = seldom();
  return (error) => {
    if (isAway() || !isDue("signals")) return;
    log.warn(
      { why: reasonOf(error) },
      "Redis does not carry what routers tell each other: the streams of clients hear of it up to a minute late. The user of Redis " +
        "needs publish, subscribe, and the channel {store.prefix}:signals",
    );
  };
}
