/**
 * The mode_overrides that the processor gives with the head of an answer (ext_proc ProcessingMode, fields in its order). Envoy
 * takes one only where `allowed_override_modes` has an equal entry, with every mode spelled out, and refuses another one without
 * a word.
 */

/** ProcessingMode.HeaderSendMode and BodySendMode: the names, each at the place of its number. */
export const HEADER_SEND_MODES = ["DEFAULT", "SEND", "SKIP"] as const;
export const BODY_SEND_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"] as const;

/** Another body takes the place of the backend's (StreamedAnswer; docs/internals/envoy-facts.md §10). */
export const REPLACED_BODY = {
  request_header_mode: "SEND",
  response_header_mode: "SEND",
  request_body_mode: "NONE",
  response_body_mode: "FULL_DUPLEX_STREAMED",
  request_trailer_mode: "SKIP",
  // FULL_DUPLEX_STREAMED requires it.
  response_trailer_mode: "SEND",
} as const;

/** The backend's body is rewritten as it passes. */
export const REWRITTEN_BODY = {
  request_header_mode: "SEND",
  response_header_mode: "SEND",
  request_body_mode: "NONE",
  response_body_mode: "STREAMED",
  request_trailer_mode: "SKIP",
  response_trailer_mode: "SKIP",
} as const;
