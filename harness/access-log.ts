/** Envoy's access log, read from its stdout: one JSON object a request (src/envoy-config/access-log.ts writes the format). */
import * as z from "zod";

/**
 * Where there is nothing to say, Envoy writes "-" in its text formats and null in JSON, or "-" there too if told to; and "--"
 * for a request whose head it could not read, which has no method to be told by.
 */
const text = z
  .string()
  .nullable()
  .transform((written) => (written === "-" || written === "--" ? null : written));

const entryShape = z.object({
  time: z.string(),
  /** `gateway` for clients, `egress` for the router's own calls. */
  listener: z.string(),
  /** Address of the client. */
  client: text,
  /** Digest of the principal. */
  principal: text,
  request_id: text,
  method: text,
  /** Without the query. */
  path: text,
  /** 0: the client went before there was an answer. */
  status: z.int(),
  duration_ms: z.int(),
  /** `ip:port` that Envoy sent the request to. */
  upstream: text,
  mcp_method: text,
  mcp_name: text,
  /** The backend's own name, on a federated route. */
  mcp_tool: text,
  mcp_client: text,
  backend: text,
  /** `ip:port` that the router pinned the request to. */
  endpoint: text,
  session: text,
  client_id: text,
  user_agent: text,
});

/** One request as Envoy saw it. */
export type AccessEntry = Readonly<z.output<typeof entryShape>>;

export interface AccessLog {
  /** Takes the next piece of Envoy's output. Lines that are no entries are left out. */
  write(chunk: string): void;
  readonly entries: readonly AccessEntry[];
}

/** Collects entries, and tells `onEntry` of each as it comes. */
export function createAccessLog(onEntry?: (entry: AccessEntry) => void): AccessLog {
  const entries: AccessEntry[] = [];
  let partial = "";
  return {
    entries,
    write(chunk) {
      const lines = (partial + chunk).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) {
        if (!line.startsWith("{")) continue;
        const entry = entryShape.parse(JSON.parse(line));
        entries.push(entry);
        onEntry?.(entry);
      }
    },
  };
}
