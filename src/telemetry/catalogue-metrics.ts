/** The metrics about what backends of routes to several offer. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** `new`: a tool that was never accepted. */
type PinDifference = "changed" | "new";
const PIN_DIFFERENCES: readonly PinDifference[] = ["changed", "new"];

export interface CatalogueMetrics {
  /** A backend was asked for its lists. */
  listsAsked(backend: string, outcome: "answered" | "failed", seconds: number): void;
  /** Numbers of one list of a backend. `leftOut`: items that are not offered, since nothing could name them, or another has their name. */
  listed(backend: string, list: string, numbers: { items: number; leftOut: number; cut: boolean }): void;
  /** A list of a backend became another. */
  listChanged(backend: string, list: string): void;
  /** Items of a route that are left out, since a backend that stands before theirs has one of that name. */
  listCollisions(route: string, list: string, items: number): void;
  /** Tools of a route that were not accepted as they are. */
  pinsDiffer(route: string, numbers: Readonly<Record<PinDifference, number>>): void;
  /** The tools of a route are pinned no more. */
  pinsReleased(route: string): void;
  /** A backend is asked no more: its numbers go. */
  listsReleased(backend: string, lists: readonly string[]): void;
  /** A route is gone. */
  routeReleased(route: string, lists: readonly string[]): void;
}

export function catalogueMetrics(registry: Registry): CatalogueMetrics {
  const registers = [registry];
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name: `mcp_router_${name}`, help, labelNames, registers });
  const asked = new Histogram({
    name: "mcp_router_lists_seconds",
    help: "Time in which backends were asked for their lists, by outcome",
    labelNames: ["backend", "outcome"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  const items = gauge("list_items", "Items of a backend's list, as it was answered last", ["backend", "list"]);
  const leftOut = gauge("list_items_left_out", "Items of a backend's list that no request could name", [
    "backend",
    "list",
  ]);
  const cut = gauge("list_cut", "1 while not all of a backend's list was read", ["backend", "list"]);
  const collisions = gauge(
    "list_collisions",
    "Items that are left out, since an earlier backend has one of that name",
    ["route", "list"],
  );
  const pins = gauge("pins_differing", "Tools of a route that were not accepted as they are", ["route", "difference"]);
  const changed = new Counter({
    name: "mcp_router_lists_changed_total",
    help: "Times that a backend's list became another",
    labelNames: ["backend", "list"],
    registers,
  });
  return {
    listsAsked: (backend, outcome, seconds) => asked.observe({ backend, outcome }, seconds),
    listed(backend, list, numbers) {
      items.set({ backend, list }, numbers.items);
      leftOut.set({ backend, list }, numbers.leftOut);
      cut.set({ backend, list }, numbers.cut ? 1 : 0);
    },
    listChanged: (backend, list) => changed.inc({ backend, list }),
    listCollisions: (route, list, number) => collisions.set({ route, list }, number),
    pinsDiffer(route, numbers) {
      for (const difference of PIN_DIFFERENCES) pins.set({ route, difference }, numbers[difference]);
    },
    pinsReleased(route) {
      for (const difference of PIN_DIFFERENCES) pins.remove({ route, difference });
    },
    listsReleased(backend, lists) {
      for (const list of lists) for (const each of [items, leftOut, cut]) each.remove({ backend, list });
    },
    routeReleased(route, lists) {
      for (const list of lists) collisions.remove({ route, list });
    },
  };
}
