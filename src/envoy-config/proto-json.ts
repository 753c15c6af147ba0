/** Pieces of Envoy's configuration in proto3's JSON form, which its YAML shares. */
import { isIP } from "node:net";
import type { Address, TcpAddress } from "../core/address.ts";

/** A message in proto3 JSON, field names as in the .proto files. */
export interface Message {
  readonly [field: string]: Value;
}
type Value = string | number | boolean | readonly Value[] | Message | undefined;

/**
 * Options of the YAML: no anchors, and quotes where YAML 1.1, which Envoy and Kubernetes read, would take a text such as `no` or
 * `on` for a boolean.
 */
export const PRINTED = { aliasDuplicateObjects: false, compat: "yaml-1.1" } as const;

/** google.protobuf.Any: a message with its type. */
export function typed(type: string, fields: Message = {}): Message {
  return { "@type": `type.googleapis.com/${type}`, ...fields };
}

/** An extension point: name and typed_config. */
export function extension(name: string, type: string, fields: Message = {}): Message {
  return { name, typed_config: typed(type, fields) };
}

/** google.protobuf.Duration, from ms. */
export function duration(ms: number): string {
  return `${ms / 1000}s`;
}

/** envoy.config.core.v3.Address. */
export function addressOf(address: TcpAddress | Address): Message {
  if ("path" in address) return { pipe: { path: address.path } };
  return { socket_address: { address: address.host, port_value: address.port } };
}

/** Whether an address fits a cluster of type STATIC, which resolves no names; STRICT_DNS in turn accepts no Unix sockets. */
export function isResolved(address: TcpAddress | Address): boolean {
  return "path" in address || isIP(address.host) !== 0;
}

/** envoy.config.core.v3.HeaderValueOption that replaces every value of the header. */
export function setHeader(key: string, value: string): Message {
  return { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
}

/** envoy.config.core.v3.RuntimeFractionalPercent. Envoy's default for switches of filters is 0 %. */
export const ALWAYS = { default_value: { numerator: 100, denominator: "HUNDRED" } } as const;

/** A retry goes to a host that was not tried yet, where there is one. */
export const PREVIOUS_HOSTS = extension(
  "envoy.retry_host_predicates.previous_hosts",
  "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
);
