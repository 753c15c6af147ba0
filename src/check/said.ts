/** What a check of what runs says to the operator. */

/** `error`: what runs is not in order, and the command exits with 1. */
export interface Said {
  readonly kind: "line" | "warning" | "error";
  readonly text: string;
}

export const line = (text: string): Said => ({ kind: "line", text });
export const warning = (text: string): Said => ({ kind: "warning", text });
export const error = (text: string): Said => ({ kind: "error", text });
