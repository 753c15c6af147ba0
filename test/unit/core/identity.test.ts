import { describe, expect, test } from "vitest";
import { type Identity, mustAuthenticate, principalNames } from "../../../src/core/identity.ts";
import { claims } from "./claims.ts";
import { fields } from "./fields.ts";

const jwt = (required: boolean): Identity => ({ kind: "jwt", issuer: "https://issuer", required });
const VERIFIED = ["https://issuer", "ada"];
const TOKEN = "Bearer aA0_.b-.c";

/** Whether a request with this Authorization, and for whom Envoy verified no token, is refused where none is required. */
const refused = (headers: Readonly<Record<string, string>>, query = "") =>
  mustAuthenticate(jwt(false), undefined, fields(headers), query);

describe("where a token is not required", () => {
  test.each([
    "Bearer x",
    "bearer x",
    "BEARER x",
    "bEaReR  x",
    "Bearer\tx",
    "Bearer",
    "Basic eDp5, bearer x",
    ",bearer x",
  ])("one that Envoy took for none is refused: %j", (authorization) => {
    expect(refused({ authorization })).toBe(true);
  });

  test.each(["Basic YmVhcmVyOng=", "Bearers x", "Token bearer", "DPoP x", "Digest username=bearer, realm=x", ""])(
    "credentials of another kind go on: %j",
    (authorization) => {
      expect(refused({ authorization })).toBe(false);
    },
  );

  test("a request without one goes on", () => {
    expect(refused({})).toBe(false);
    for (const query of ["?q=access_token", "?access_tokens=x", "?my_access_token=x"])
      expect(refused({}, query)).toBe(false);
  });

  test.each([
    "?access_token=x",
    "?a=b&access_token=",
    "?access%5Ftoken=x",
    "?Access_Token=x",
    "?a=b;access_token=x",
    "?access.token=x",
    "?+access%20token=x",
    "?access[token=x",
    "?access_token[]=x",
    "?access_token%00=x",
  ])("one in the query is refused, as any server may read it: %s", (query) => {
    expect(refused({}, query)).toBe(true);
    expect(mustAuthenticate(jwt(false), VERIFIED, fields({ authorization: TOKEN }), query)).toBe(true);
  });
});

test.each([true, false])("beside a verified token there is no other, required: %s", (required) => {
  const one = fields({ authorization: TOKEN });
  expect(mustAuthenticate(jwt(required), VERIFIED, one, "?q")).toBe(false);
  expect(mustAuthenticate(jwt(required), VERIFIED, fields({ authorization: "Bearer x, bearer y" }), "")).toBe(true);
});

test.each([
  "Foo Bearer a.b.c",
  "Bearer ~a.b.c",
  "Bearer  a.b.c",
  "Bearer a.b.c ",
  "Bearer a.b.c x",
  "Bearer a.b.c=",
  "Bearer a.b",
  "Bearer a.b.c.d",
  "bearer a.b.c",
  "Basic a.b.c",
  "Bearer a.b.c\nx",
  "",
])("where Envoy has verified a token, what another reader may take for another is refused: %j", (authorization) => {
  for (const required of [true, false])
    expect(mustAuthenticate(jwt(required), VERIFIED, fields({ authorization }), "")).toBe(true);
});

test("a token that an Envoy of one's own has found elsewhere needs no Authorization", () => {
  expect(mustAuthenticate(jwt(true), VERIFIED, fields({}), "")).toBe(false);
});

test("who must have a principal and has none is refused, whatever it sends", () => {
  const header: Identity = { kind: "header", name: "x-user", required: true };
  for (const identity of [jwt(true), header]) expect(mustAuthenticate(identity, undefined, fields({}), "")).toBe(true);
  expect(mustAuthenticate({ ...header, required: false }, undefined, fields({ authorization: "bearer x" }), "")).toBe(
    false,
  );
  expect(mustAuthenticate({ kind: "none" }, undefined, fields({ authorization: "bearer x" }), "?access_token=x")).toBe(
    false,
  );
});

test("claims of another issuer name nobody", () => {
  const others = claims({ iss: "https://other", sub: "ada" });
  expect(principalNames(fields({}), others, jwt(false))).toBeUndefined();
});

test("claims of the issuer name its subject, and without one nobody", () => {
  const theirs = { iss: "https://issuer", sub: "ada" };
  expect(principalNames(fields({}), claims(theirs), jwt(false))).toEqual([theirs.iss, "ada"]);
  expect(principalNames(fields({}), claims({ iss: theirs.iss }), jwt(false))).toBeUndefined();
});
