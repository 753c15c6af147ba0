/** Metrics and log lines about streams of backends that the router cuts off. */
import type { CutOff } from "../federation/unfinished.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldomCounted } from "../telemetry/seldom.ts";

const WHY: Readonly<Record<CutOff, string>> = {
  budget: "limits.unfinishedEvents, or the backend's quarter of it, is used up",
  late: "it has begun an event and not ended it",
};

export function cutOffObserver(metrics: Metrics, log: Logger): (backend: string, why: CutOff) => void {
  const countUntilDue = seldomCounted();
  return (backend, why) => {
    metrics.streamCutOff(backend, why);
    const times = countUntilDue(`${backend} ${why}`);
    if (times > 0)
      log.warn({ backend, why: WHY[why], times }, "a backend's stream to a client is cut off, and opened again later");
  };
}
