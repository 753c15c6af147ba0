/** Claims of a verified token, for tests. */
import type { Claims } from "../../../src/core/http.ts";

export function claims(members: Readonly<Record<string, unknown>>): Claims {
  return {
    text: (...path) => {
      const value = path.reduce<unknown>(
        (within, name) => (within as Readonly<Record<string, unknown>> | undefined)?.[name],
        members,
      );
      return typeof value === "string" && value !== "" ? value : undefined;
    },
  };
}
