/** An HTTP request and its answer as the gateway sees them: heads that come in, verdicts that go out. */

/** Read access to header fields. Names are lower case, as Envoy sends them. */
export interface HeaderFields {
  /** The value, as latin1; several fields of one name are joined with ", " (RFC 9110 §5.3). */
  get(name: string): string | undefined;
}

/** Of a verified token what says who it is for: `iss` and `sub` (RFC 7519 §4.1). */
export interface Claims {
  readonly issuer: string;
  readonly subject: string;
}

export interface RequestHead {
  readonly headers: HeaderFields;
  /** No body follows: it is absent, or content-length is 0. */
  readonly endOfStream: boolean;
  /** Of a token that Envoy verified; absent without one. */
  readonly claims?: Claims;
}

export interface ResponseHead {
  readonly headers: HeaderFields;
  /** `upstream.address`: the `ip:port` that answered; absent for Envoy's own replies. */
  readonly endpoint: string | undefined;
}

export type Header = readonly [name: string, value: string];

/** What Envoy is to do with the phase that it asked about. */
export type Verdict =
  /** Go on as it is. */
  | { readonly kind: "continue" }
  /** Go on with changed headers. `clearRoute` makes Envoy choose the route again from the changed request. */
  | {
      readonly kind: "mutate";
      readonly set: readonly Header[];
      readonly remove: readonly string[];
      readonly clearRoute: boolean;
    }
  | Reply;

/** Answer the client in place of the backend. */
export interface Reply {
  readonly kind: "reply";
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: string;
  /** %RESPONSE_CODE_DETAILS% in Envoy's access log: why this reply. */
  readonly details: string;
}

export const CONTINUE: Verdict = { kind: "continue" };
