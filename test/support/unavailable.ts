/** What a store, a ledger and locks say while they are away. */
export const UNAVAILABLE = { kind: "unavailable" } as const;

/** In the place of any operation of theirs. */
export const unavailable = async () => UNAVAILABLE;
