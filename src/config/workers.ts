/** Addresses of a router's worker processes. Each has its own, so that Envoy distributes requests over them. */
import type { Address, TcpAddress } from "../core/address.ts";

export const MAX_WORKERS = 64;

/** Worker n (from 0) listens n ports above `processor.listen`, or on its socket's path with `.n` added. */
export function workerAddress(listen: Address, worker: number): Address {
  if (worker === 0) return listen;
  return listen.kind === "tcp" ? workerPort(listen, worker) : { ...listen, path: `${listen.path}.${worker}` };
}

export function workerAddresses(listen: Address, workers: number): Address[] {
  return Array.from({ length: workers }, (_, worker) => workerAddress(listen, worker));
}

/** The same of what has only ports. */
export function workerPort<At extends TcpAddress>(listen: At, worker: number): At {
  return { ...listen, port: listen.port + worker };
}

export function workerPorts(listen: TcpAddress, workers: number): TcpAddress[] {
  return Array.from({ length: workers }, (_, worker) => workerPort(listen, worker));
}
