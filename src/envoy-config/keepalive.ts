/**
 * TCP keepalive, by which Envoy finds a peer that went without a word, as with its network. Otherwise a quiet event stream would stay
 * open for as long as `timeouts.listen`: that of such a client keeps its session, and on that of such a backend no event comes.
 */
import { duration, type Message } from "./proto-json.ts";

/** In seconds: such a peer is found after two minutes. */
const KEEPALIVE = { idle: 60, interval: 15, probes: 4 } as const;

/**
 * For the clients' listener: envoy.config.core.v3.SocketOption, by the numbers of Linux. Envoy 1.36 has no `tcp_keepalive` of
 * listeners. Connections have the options of the socket that they were accepted on.
 */
export const CLIENT_SOCKET_OPTIONS: readonly Message[] = [
  socketOption("SO_KEEPALIVE", { level: 1, name: 9, int_value: 1 }),
  socketOption("TCP_KEEPIDLE", { level: 6, name: 4, int_value: KEEPALIVE.idle }),
  socketOption("TCP_KEEPINTVL", { level: 6, name: 5, int_value: KEEPALIVE.interval }),
  socketOption("TCP_KEEPCNT", { level: 6, name: 6, int_value: KEEPALIVE.probes }),
];

function socketOption(description: string, option: Message): Message {
  return { description, ...option, state: "STATE_PREBIND" };
}

/** For the clusters of event streams: envoy.config.cluster.v3.UpstreamConnectionOptions. */
export const BACKEND_KEEPALIVE = {
  tcp_keepalive: {
    keepalive_probes: KEEPALIVE.probes,
    keepalive_time: KEEPALIVE.idle,
    keepalive_interval: KEEPALIVE.interval,
  },
} as const;

/** The same as networking.istio.io ConnectionPoolSettings.TCPSettings.TcpKeepalive. */
export const ISTIO_KEEPALIVE = {
  probes: KEEPALIVE.probes,
  time: duration(KEEPALIVE.idle * 1_000),
  interval: duration(KEEPALIVE.interval * 1_000),
} as const;
