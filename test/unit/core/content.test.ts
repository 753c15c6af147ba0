import { describe, expect, test } from "vitest";
import { isJsonInUtf8, isUnencoded } from "../../../src/core/content.ts";

describe("a content type is JSON in UTF-8:", () => {
  test.each([
    "application/json",
    "APPLICATION/JSON",
    " application/json ",
    "application/json;charset=utf-8",
    "application/json ; Charset=UTF-8",
    'application/json; charset="Utf-8"',
    "application/json; charset=utf-8;",
    "application/json;; charset=utf-8 ;",
    'application/json; profile="a;b, c"; charset=utf-8',
    "application/json; version=1",
  ])("%s", (contentType) => {
    expect(isJsonInUtf8(contentType)).toBe(true);
  });
});

describe("a content type is not JSON, or another parser may read another charset in it:", () => {
  test.each([
    undefined,
    "",
    "text/json",
    "application/json+x",
    "application/x-www-form-urlencoded",
    "application/json, application/json",
    "application/json; charset=utf-8, application/json; charset=utf-7",
    "application/json; charset=utf-7, application/json; charset=utf-8",
    "application/json; charset=utf-7",
    "application/json; charset=UTF-7",
    "application/json; CHARSET=utf-16le",
    'application/json; charset="utf-7"',
    "application/json; charset='utf-7'",
    'application/json; charset="utf\\-7"',
    "application/json; charset=utf-8; charset=utf-7",
    "application/json; charset=utf-7; charset=utf-8",
    "application/json; charset=utf-8; charset=utf-8",
    'application/json; x="; charset=utf-7; "',
    'application/json; x="; charset=utf-7;"; charset=utf-8',
    'application/json; x="\\"; charset=utf-7; y=\\""',
    "application/json; charset",
    "application/json; charset=",
    'application/json; charset=""',
    "application/json; charset =utf-7",
    "application/json; charset= utf-8",
    "application/json; charset*=utf-8''utf-7",
    "application/json; charset*0=utf; charset*1=-7",
    "application/json; charset=utf-8x",
    "application/json; charset=utf-8 utf-7",
    "application/json; xcharset=utf-7",
    "application/json; charset=utf-8\u00a0",
    "application/json\u00a0; charset=utf-8",
    "application/json charset=utf-7",
    "application/json, charset=utf-7",
    "application/json; charset=iso-8859-1",
  ])("%s", (contentType) => {
    expect(isJsonInUtf8(contentType)).toBe(false);
  });
});

test.each([
  [undefined, true],
  ["", true],
  ["identity", true],
  ["IDENTITY ", true],
  ["identity, identity", true],
  [", ,", true],
  ["gzip", false],
  ["identity, gzip", false],
  ["gzip, identity", false],
  ["identity,, identity ,", true],
  ["identityx", false],
  ["identityidentity", false],
  ["identity identity", false],
  ['"identity"', false],
])("content-encoding %j names no coding: %s", (contentEncoding, unencoded) => {
  expect(isUnencoded(contentEncoding)).toBe(unencoded);
});
