/** Parses an event stream (HTML, "Server-sent events", §9.2.5 and §9.2.6) as its text arrives. */

const BYTE_ORDER_MARK = "\ufeff";
/** How a line of data begins, and all of one that has no value. */
const DATA = "data:";
const BARE_DATA = "data";

/**
 * Takes the text piece by piece, and returns the data of the events that each piece ends. An event without data, such as a comment,
 * returns nothing. The reader keeps only lines of data, and looks at each character once: who bounds the text bounds memory and
 * time too.
 */
export function eventReader(): (text: string) => readonly string[] {
  let begun = false;
  /** The last piece ended in CR: a LF that comes next belongs to that line end. */
  let afterCr = false;
  /** The beginning of an unfinished line, until it shows whether the line is data. */
  let start = "";
  /** The pieces of its value, once the line is known to be data. */
  let value: string[] | undefined;
  /** The line is known not to be data. */
  let isOther = false;
  /** Lines of data of an event whose end is yet to come. */
  let data: string[] = [];

  const addToLine = (piece: string) => {
    if (isOther) return;
    if (value) {
      value.push(piece);
      return;
    }
    start += piece;
    if (start.length < DATA.length) return;
    if (start.startsWith(DATA)) value = [start.slice(DATA.length)];
    else isOther = true;
  };
  /** @returns data of the event that the line ends, if it ends one */
  const endLine = (): string | undefined => {
    const isBlank = !value && !isOther && start === "";
    if (value) data.push(withoutSpace(value.join("")));
    else if (!isOther && start === BARE_DATA) data.push("");
    start = "";
    value = undefined;
    isOther = false;
    if (!isBlank || data.length === 0) return undefined;
    const event = data.join("\n");
    data = [];
    return event;
  };

  return (text) => {
    const events: string[] = [];
    let at = 0;
    if (!begun && text !== "") {
      begun = true;
      if (text.startsWith(BYTE_ORDER_MARK)) at = 1;
    }
    if (afterCr && at < text.length) {
      afterCr = false;
      if (text[at] === "\n") at++;
    }
    const lineEnd = /\r\n?|\n/g;
    lineEnd.lastIndex = at;
    for (let end = lineEnd.exec(text); end; end = lineEnd.exec(text)) {
      addToLine(text.slice(at, end.index));
      at = lineEnd.lastIndex;
      const event = endLine();
      if (event !== undefined) events.push(event);
      afterCr = end[0] === "\r" && at === text.length;
    }
    addToLine(text.slice(at));
    return events;
  };
}

/** Removes one space after the colon, which is no part of the value. */
function withoutSpace(value: string): string {
  return value.startsWith(" ") ? value.slice(1) : value;
}

/** JSON text of a message, which some servers write with a byte order mark in front (RFC 8259 §8.1: a reader may ignore it). */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}
