/**
 * Cookies that a backend sets in its answer to our initialize (RFC 6265). A balancer ahead of the backend may route a session to its
 * server by one, so the calls of that session carry them. Pure.
 */
import { COOKIE, SET_COOKIE } from "../core/headers.ts";
import type { Header } from "../core/http.ts";

/** Most cookies that are kept of one answer, and most bytes of one: a balancer sets one or two. */
const MOST_COOKIES = 20;
const LONGEST_COOKIE = 4 * 1024;

/** A cookie as an answer sets it. */
interface SetCookie {
  readonly name: string;
  readonly value: string;
  /** It deletes the cookie of that name. */
  readonly ends: boolean;
}

/** Returns the values of `set-cookie` in an answer that are kept. */
export function keptCookies(headers: readonly Header[]): readonly string[] {
  const kept = headers.filter(
    ([name, text]) => name === SET_COOKIE && text.length <= LONGEST_COOKIE && readSetCookie(text),
  );
  return kept.slice(0, MOST_COOKIES).map(([, text]) => text);
}

/** The name of the cookie that a value of `set-cookie` sets. */
export function cookieName(setCookie: string): string | undefined {
  return readSetCookie(setCookie)?.name;
}

/**
 * Returns the headers with these cookies in place of the client's of the same names. Attributes such as Path and Domain are ignored:
 * the calls go where the answer came from.
 */
export function withCookies(headers: readonly Header[], setCookies: readonly string[]): readonly Header[] {
  if (setCookies.length === 0) return headers;
  const jar = new Map<string, string>();
  for (const [name, value] of headers) {
    if (name !== COOKIE) continue;
    for (const pair of value.split(";")) {
      const [cookie = "", ...rest] = pair.trim().split("=");
      if (cookie !== "") jar.set(cookie, rest.join("="));
    }
  }
  for (const text of setCookies) {
    const cookie = readSetCookie(text);
    if (cookie?.ends) jar.delete(cookie.name);
    else if (cookie) jar.set(cookie.name, cookie.value);
  }
  const others = headers.filter(([name]) => name !== COOKIE);
  if (jar.size === 0) return others;
  return [...others, [COOKIE, Array.from(jar, ([name, value]) => `${name}=${value}`).join("; ")]];
}

/**
 * The value of `cookie` that requests with these headers have after an answer has set cookies; undefined where it has set none, or
 * ended all.
 */
export function cookieAfter(headers: readonly Header[], setCookies: readonly string[]): string | undefined {
  if (setCookies.length === 0) return undefined;
  return withCookies(headers, setCookies).find(([name]) => name === COOKIE)?.[1];
}

/** Parses by RFC 6265 §5.2. Of the attributes only Max-Age is read: Expires would need a clock. */
function readSetCookie(text: string): SetCookie | undefined {
  const [pair = "", ...attributes] = text.split(";");
  const at = pair.indexOf("=");
  const name = pair.slice(0, Math.max(0, at)).trim();
  if (name === "") return undefined;
  const ends = attributes.some((attribute) => /^\s*max-age\s*=\s*(?:0+|-\d+)\s*$/i.test(attribute));
  return { name, value: pair.slice(at + 1).trim(), ends };
}
