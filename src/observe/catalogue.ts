/** Metrics and log lines about what backends of routes to several offer. */
import { assertNever } from "../core/assert-never.ts";
import { ALL_LISTS } from "../core/federation/kinds.ts";
import { type CatalogueEvent, type Cut, describeAskFailure } from "../federation/events.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom, seldomCounted } from "../telemetry/seldom.ts";
import { pinObserver } from "./pins.ts";

/** Why a list was cut, and the setting behind it. */
const CUTS: Readonly<Record<Cut, string>> = {
  cursor: "the backend gives a cursor again that it has given before",
  pages: "it has more pages than lists.pages",
  bytes: "it is larger than lists.bytes",
  items: "it has more items than are kept",
};

type Told<Kind extends CatalogueEvent["kind"]> = Extract<CatalogueEvent, { kind: Kind }>;

export function catalogueObserver(metrics: Metrics, log: Logger): (event: CatalogueEvent) => void {
  const askings = askingObserver(metrics, log);
  const lists = listObserver(metrics, log);
  const pins = pinObserver(metrics, log);
  return (event) => {
    switch (event.kind) {
      case "asked":
      case "failed":
        return askings(event);
      case "released":
        askings(event);
        return metrics.listsReleased(event.backend, ALL_LISTS);
      case "listed":
      case "changed":
      case "expired":
      case "collisions":
        return lists(event);
      case "pins":
        return pins(event);
      case "unpinned":
        return metrics.pinsReleased(event.route);
      case "route-gone":
        metrics.pinsReleased(event.route);
        return metrics.routeReleased(event.route, ALL_LISTS);
      default:
        return assertNever(event);
    }
  };
}

function askingObserver(metrics: Metrics, log: Logger): (event: Told<"asked" | "failed" | "released">) => void {
  /** Backends whose failure was logged. An answer removes the backend, so that its next failure is logged again. */
  const failing = new Set<string>();
  const countUntilDue = seldomCounted();

  const failed = ({ backend, shared, list, failure, ms }: Told<"failed">) => {
    metrics.listsAsked(backend, "failed", ms / 1000);
    const line = { backend, list, why: describeAskFailure(failure), ms: Math.round(ms) };
    if (!shared) {
      const times = countUntilDue(backend);
      if (times > 0) log.info({ ...line, times }, "a backend has not told a principal what it offers");
      return;
    }
    if (failing.has(backend)) return log.debug(line, "a backend still does not say what it offers");
    failing.add(backend);
    log.warn(line, "a backend does not say what it offers: its last lists are offered for lists.stale");
  };

  return (event) => {
    switch (event.kind) {
      case "asked":
        metrics.listsAsked(event.backend, "answered", event.ms / 1000);
        if (event.shared && failing.delete(event.backend))
          log.info({ backend: event.backend }, "a backend says again what it offers");
        return;
      case "failed":
        return failed(event);
      case "released":
        failing.delete(event.backend);
        return;
      default:
        return assertNever(event);
    }
  };
}

function listObserver(
  metrics: Metrics,
  log: Logger,
): (event: Told<"listed" | "changed" | "expired" | "collisions">) => void {
  const isDue = seldom();

  const listed = ({ backend, list, items, leftOut, duplicates, cut }: Told<"listed">) => {
    metrics.listed(backend, list, { items, leftOut: leftOut + duplicates, cut: cut !== undefined });
    if (cut && isDue(`cut ${backend} ${list}`))
      log.warn({ backend, list, items, why: CUTS[cut] }, "not all of a backend's list is offered");
    if (leftOut + duplicates > 0 && isDue(`left out ${backend} ${list}`))
      log.warn(
        { backend, list, leftOut, duplicates },
        "items of a backend are not offered: they have no name (no URI), or that of another item",
      );
  };

  return (event) => {
    switch (event.kind) {
      case "listed":
        return listed(event);
      case "changed": {
        const { backend, shared, list, items } = event;
        metrics.listChanged(backend, list);
        // There may be many principals.
        log[shared ? "info" : "debug"]({ backend, list, items }, "a backend's list has changed");
        return;
      }
      case "expired": {
        const { backend, shared, list, why } = event;
        if (!shared) return;
        const line = { backend, list };
        if (why === "unused") return log.debug(line, "a backend's list was not needed for lists.stale");
        metrics.listed(backend, list, { items: 0, leftOut: 0, cut: false });
        return log.warn(line, "a backend's list is no longer offered: it was not answered for lists.stale");
      }
      case "collisions": {
        const { route, shared, list, number, first } = event;
        // Principals see different numbers.
        if (shared) metrics.listCollisions(route, list, number);
        if (!first || !isDue(`${route} ${list}`)) return;
        return log.warn(
          { route, list, items: number, first },
          "backends offer items of the same name (URI): that of the backend which stands first in the route is offered",
        );
      }
      default:
        return assertNever(event);
    }
  };
}
