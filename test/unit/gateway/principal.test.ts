import { describe, expect, test } from "vitest";
import type { Claims } from "../../../src/core/http.ts";
import { principalOf } from "../../../src/gateway/principal.ts";
import { principalDigest } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";

const JWT = { kind: "jwt", issuer: "https://issuer.example", required: false } as const;

function headOf(headers: Record<string, string>, claims?: Claims) {
  return { headers: fields(headers), endOfStream: false, ...(claims && { claims }) };
}

function token(payload: Record<string, string>): { readonly claims: Claims; readonly asked: string[] } {
  const asked: string[] = [];
  const text = (...path: readonly string[]) => {
    asked.push(path.join("."));
    return payload[path.join(".")];
  };
  return { claims: { text, values: () => [] }, asked };
}

describe("a principal", () => {
  test("is known by the digest of its names", () => {
    const { claims } = token({ iss: JWT.issuer, sub: "ada" });
    expect(principalOf(headOf({}, claims), JWT, "")).toMatchObject({ digest: principalDigest([JWT.issuer, "ada"]) });
  });

  test("tells a claim of its token when it is asked, and reads no other", () => {
    const { claims, asked } = token({ iss: JWT.issuer, sub: "ada", "realm.scope": "repo" });
    const principal = principalOf(headOf({}, claims), JWT, "");
    if (principal === "unauthenticated") throw new Error("refused");
    expect(asked).toEqual(["iss", "sub"]);
    expect(principal.claim("realm", "scope")).toBe("repo");
    expect(asked).toEqual(["iss", "sub", "realm.scope"]);
  });

  test("of a header has no claims", () => {
    const principal = principalOf(headOf({ "x-user": "ada" }), { kind: "header", name: "x-user", required: true }, "");
    if (principal === "unauthenticated") throw new Error("refused");
    expect(principal.digest).toBe(principalDigest(["ada"]));
    expect(principal.claim("sub")).toBeUndefined();
  });

  test("is nobody where no identity is configured, whatever the request carries", () => {
    const { claims, asked } = token({ iss: JWT.issuer, sub: "ada" });
    const principal = principalOf(headOf({ authorization: "Bearer x" }, claims), { kind: "none" }, "");
    if (principal === "unauthenticated") throw new Error("refused");
    expect(principal.digest).toBe(ANONYMOUS);
    expect(principal.claim("sub")).toBeUndefined();
    expect(asked).toEqual([]);
  });

  test("is asked for where the identity requires one", () => {
    expect(principalOf(headOf({}), { ...JWT, required: true }, "")).toBe("unauthenticated");
  });
});
