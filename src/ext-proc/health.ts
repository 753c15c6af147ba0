/** Messages of gRPC's health service (grpc.health.v1). */
import { HEALTH_CHECK_RESPONSE } from "./tags.ts";
import { messageOfNumbers } from "./wire.ts";

/** HealthCheckResponse.ServingStatus. */
export const SERVING = 1;
export const NOT_SERVING = 2;

/** Writes a HealthCheckResponse. */
export function encodeHealth(status: typeof SERVING | typeof NOT_SERVING): Uint8Array {
  return messageOfNumbers([[HEALTH_CHECK_RESPONSE.status, status]]);
}
