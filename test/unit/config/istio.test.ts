import { describe, expect, test } from "vitest";
import { errorsOf, load } from "./sections.ts";

describe("istio", () => {
  const istio = { namespace: "mcp", selector: { istio: "mcp-gateway" } };

  test("is what the configuration says, and nothing by default", () => {
    expect(load().istio).toBeUndefined();
    expect(load({ istio }).istio).toEqual(istio);
    expect(load({ istio: { ...istio, credentialName: "mcp-tls" } }).istio?.credentialName).toBe("mcp-tls");
  });

  test.each([
    [{ selector: istio.selector }, "istio.namespace: "],
    [{ ...istio, namespace: "MCP" }, 'istio.namespace: got "MCP", expected lower-case letters'],
    [{ namespace: "mcp" }, "istio.selector: "],
    [{ ...istio, selector: {} }, "istio.selector: got {}, expected at least one label"],
    [{ ...istio, selector: { istio: 1 } }, "istio.selector.istio: got 1, expected the value of a label"],
    [
      { ...istio, router: "mcp-router" },
      'istio.router: got "mcp-router", expected a service account such as "mcp/mcp-router"',
    ],
    [{ ...istio, selectors: {} }, 'istio: unknown setting "selectors"'],
  ])("that is wrong: %j", (wrong, error) => {
    expect(errorsOf({ istio: wrong })).toEqual([expect.stringContaining(error)]);
  });
});
