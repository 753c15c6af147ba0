/** What the gateway itself writes into an event stream (HTML, "Server-sent events", §9.2.5). Pure. */

/** Has the client wait so many ms before it connects again. */
export function retryEvent(ms: number): string {
  return `retry: ${Math.ceil(ms)}\n\n`;
}
