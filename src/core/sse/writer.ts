/** What the gateway itself writes into an event stream (HTML, "Server-sent events", §9.2.5). Pure. */

/**
 * Has the client wait so many ms before it connects again.
 * @param id what the client is to name as its last event then
 */
export function retryEvent(ms: number, id?: string): string {
  return `${id === undefined ? "" : `id: ${id}\n`}retry: ${Math.ceil(ms)}\n\n`;
}
