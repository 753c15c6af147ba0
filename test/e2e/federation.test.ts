/** Several real MCP servers behind one URL of a real Envoy, with the official clients. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const PATH = "/mcp";

describe("two servers behind one URL", () => {
  let files: TestServer;
  let git: TestServer;
  let stack: Stack;

  beforeAll(async () => {
    files = await startMcpServer("files");
    git = await startMcpServer("git", { json: true });
    stack = await startStack({
      backends: { files: [files.endpoint], git: [git.endpoint] },
      routes: [{ path: PATH, backends: ["files", "git"] }],
    });
  });
  afterAll(async () => {
    await stack.stop();
    await files.close();
    await git.close();
  });

  async function connect(): Promise<Client> {
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(stack.url(PATH))));
    owner.defer(() => client.close());
    return client;
  }

  test("are one server with the tools of both", async () => {
    const client = await connect();
    const { tools } = await client.listTools();
    const names = tools.map(({ name }) => name);
    expect(names).toEqual(names.toSorted());
    expect(names).toContain("files__echo");
    expect(names).toContain("git__echo");
    expect(client.getServerVersion()?.name).toBe("mcp");
  });

  test("and an operator sees whose each tool is", async () => {
    await connect();
    const answer = await fetch(`http://127.0.0.1:${stack.httpPort}/catalogue`);
    const { backends, routes } = JSON.parse(await answer.text());
    expect(backends).toMatchObject([
      { backend: "files", path: "/mcp", prefix: "files__", asked: { failure: null } },
      { backend: "git", path: "/mcp", prefix: "git__", asked: { failure: null } },
    ]);
    // Both have the same resource.
    const collision = { list: "resources", key: "test://resource", kept: "files", leftOut: "git" };
    expect(routes).toMatchObject([{ path: PATH, hidden: 0, collisions: [collision] }]);
    expect(routes[0].tools).toContainEqual({ key: "git__echo", backend: "git" });
  });

  test("get the calls that name them, each in a session of its own", async () => {
    const client = await connect();
    const who = async (name: string) => {
      const { content } = await client.callTool({ name, arguments: {} });
      const [first] = content;
      return JSON.parse(first?.type === "text" ? first.text : "");
    };
    const atFiles = await who("files__whoami");
    const atGit = await who("git__whoami");
    expect(atFiles.server).toBe("files");
    expect(atGit.server).toBe("git");
    expect(await who("files__whoami")).toEqual(atFiles);
    expect(await who("git__whoami")).toEqual(atGit);
    expect(files.sessions).toContain(atFiles.session);
    expect(git.sessions).toContain(atGit.session);
  });
});
