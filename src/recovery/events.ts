/** What is in an event stream (HTML, "Server-sent events"), as its text comes. */

/**
 * Takes the text piece by piece, and gives the data of the events that each piece ends. Of an event that has none, as a comment,
 * nothing is given.
 */
export function eventReader(): (text: string) => readonly string[] {
  /** A line whose end is yet to come. */
  let rest = "";
  /** Lines of data of an event whose end is yet to come. */
  let data: string[] = [];
  return (text) => {
    rest += text;
    // A long line comes in many pieces: it is looked at once.
    if (!text.includes("\n")) return [];
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? "";
    const events: string[] = [];
    for (const line of lines) {
      if (line.startsWith("data:")) data.push(line.slice("data:".length));
      if (line !== "" || data.length === 0) continue;
      events.push(data.join("\n"));
      data = [];
    }
    return events;
  };
}
