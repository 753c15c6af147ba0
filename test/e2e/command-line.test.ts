import { spawnSync } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { start, waitFor } from "../../harness/child.ts";
import { validateBootstrap } from "../../harness/envoy.ts";
import { freePort, statusOf } from "../../harness/ports.ts";
import { directoryOfTests } from "../support/directory.ts";
import { startMcpServer } from "../support/mcp-server.ts";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(ROOT, "src/main.ts");
const CONFIG = `
gateway: { hosts: [127.0.0.1] }
backends:
  one: { endpoints: [127.0.0.1:3001] }
routes:
  - { path: /mcp, backends: [one] }
`;

const directory = directoryOfTests("command-line");

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

describe("check", () => {
  test("says ok to a good configuration", () => {
    const config = file("good.yaml", CONFIG);
    expect(run("check", "--config", config)).toEqual({ status: 0, stdout: `${config}: ok\n`, stderr: "" });
  });

  test("says what policy lets somebody with certain claims do", () => {
    const policy = 'policy: [{ allow: { tools: ["a*"] } }, { deny: { tools: ["b"] }, when: { principal: bob } }]\n';
    const config = file("policy.yaml", `${CONFIG}identity: { kind: header, name: x-user }\n${policy}`);
    const { status, stdout } = run("check", "--config", config, "--as", file("claims.json", '{"sub":"bob"}'));
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `/mcp, with these claims:\n  policy[0] allow tools a*: counts\n  policy[1] deny tools b: counts\n${config}: ok\n`,
    });
    const wrong = file("no-claims.json", "[]");
    expect(run("check", "--config", config, "--as", wrong)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`error: ${wrong}: expected the claims of a token as JSON`),
    });
  });

  test("lists every error of a bad one on stderr and exits with 1", () => {
    const config = file("bad.yaml", CONFIG.replace("/mcp", "mcp").replace("3001", "x"));
    const { status, stdout, stderr } = run("check", "--config", config);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^error: \/.*\/bad\.yaml: backends\.one\.endpoints\[0\]: got "127\.0\.0\.1:x"/),
      expect.stringMatching(/^error: \/.*\/bad\.yaml: routes\[0\]\.path: got "mcp"/),
    ]);
  });

  test("refuses what names a file of the router's own that is not there, and only warns of one of Envoy's", () => {
    const store = "store: { kind: redis, url: redis://h, passwordFile: /no/such }\n";
    const own = run("check", "--config", file("own.yaml", CONFIG + store));
    expect(own).toMatchObject({ status: 1, stdout: "" });
    expect(own.stderr).toMatch(/^error: .*own\.yaml: store\.passwordFile: cannot read \/no\/such: no such file\n$/);
    const tls = CONFIG.replace(/^gateway: \{/m, "gateway: { tls: { cert: /no/such, key: /no/such },");
    const envoys = run("check", "--config", file("envoys.yaml", tls));
    expect(envoys.status).toBe(0);
    expect(envoys.stderr).toMatch(/^warning: .*gateway\.tls\.cert: \/no\/such cannot be read here/);
  });

  test("says in which folder a file was looked for", () => {
    const { status, stderr } = run("check", "--config", "no-such.yaml");
    expect(status).toBe(1);
    expect(stderr).toContain(`cannot read ${join(process.cwd(), "no-such.yaml")}: no such file`);
  });

  test("by `npm run` looks for files where npm was called, also for those that the configuration names", () => {
    file("keys.json", '{"keys":[]}');
    const identity = "identity: { kind: jwt, issuer: me, audiences: [us], jwks: { file: keys.json } }";
    file("sub.yaml", `${CONFIG}\n${identity}\n`);
    const env = { ...process.env, INIT_CWD: directory, npm_lifecycle_event: "mcp-router" };
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "check", "--config", "sub.yaml"], {
      encoding: "utf8",
      env,
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "sub.yaml: ok\n" });
    expect(stderr).not.toContain("cannot be read");
  });

  test("shows nothing of a bootstrap that is no YAML", () => {
    const config = file("good.yaml", CONFIG);
    const bootstrap = file("secret.yaml", "inline_string: hunter2secret ]\n");
    const { status, stderr } = run("check", "--config", config, "--envoy", bootstrap);
    expect(status).toBe(1);
    expect(stderr).not.toContain("hunter2secret");
  });

  test("warns in one line where any Host is taken, and passes", () => {
    const config = file("no-hosts.yaml", CONFIG.replace(/^gateway.*$/m, ""));
    const { status, stderr } = run("check", "--config", config);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^warning: \/.*\/no-hosts\.yaml: gateway\.hosts is not set: [^\n]*\n$/);
  });

  test("passes the bootstrap that `envoy` prints, which Envoy itself accepts", () => {
    const config = file("good.yaml", CONFIG);
    const printed = run("envoy", "--config", config);
    expect(printed).toMatchObject({ status: 0, stderr: "" });
    expect(validateBootstrap(printed.stdout)).toMatchObject({ ok: true });
    const bootstrap = file("envoy.yaml", printed.stdout);
    expect(run("check", "--config", config, "--envoy", bootstrap)).toEqual({
      status: 0,
      stdout: `${config} and ${bootstrap}: ok\n`,
      stderr: "",
    });
  });

  test("tells where a bootstrap is wrong and what to write instead, and exits with 1", () => {
    const config = file("good.yaml", CONFIG);
    const broken = run("envoy", "--config", config).stdout.replace(
      "failure_mode_allow: false",
      "failure_mode_allow: true",
    );
    const { status, stderr } = run("check", "--config", config, "--envoy", file("broken.yaml", broken));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: .*broken\.yaml: .*failure_mode_allow/m);
  });

  test.each(["no-such.yaml", "not-yaml.yaml"])(
    "says what is wrong with a bootstrap that cannot be read: %s",
    (name) => {
      file("not-yaml.yaml", "a: [");
      const config = file("good.yaml", CONFIG);
      const { status, stderr } = run("check", "--config", config, "--envoy", join(directory, name));
      expect(status).toBe(1);
      expect(stderr).toMatch(new RegExp(`^error: .*${name}: `));
      expect(stderr).not.toContain("    at ");
    },
  );
});

test.each([
  [[], 1, "Usage: mcp-router"],
  [["serve"], 1, "--config"],
  [["nonsense"], 1, "unknown command"],
  [["serve", "--config", "/no/such.yaml"], 1, "error: /no/such.yaml: cannot read /no/such.yaml: no such file; "],
  [["serve", "--config", "/no/such.yaml"], 1, "pass the path of your mcp-router.yaml with --config\n"],
  [["serve", "--config", "/no/such.yaml", "--workers", "many"], 1, "Expected a whole number from 1 to 64"],
  [["--help"], 0, ""],
])("%j exits with %i and says why", (args, status, said) => {
  const outcome = run(...args);
  expect(outcome.status).toBe(status);
  expect(outcome.stderr).toContain(said);
  expect(outcome.stderr).not.toContain("    at ");
});

describe("envoy", () => {
  /** Through a shell, with stdout going where the test says; the status is that of mcp-router. */
  function intoShell(rest: string) {
    const config = file("good.yaml", CONFIG);
    const command = `"${process.execPath}" "${MAIN}" envoy --config "${config}" ${rest}; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
    return { status: stdout.trim().split("\n").at(-1), stderr };
  }

  test("is quiet when its reader has read enough", () => {
    expect(intoShell("| head -c 0")).toEqual({ status: "0", stderr: "" });
  });

  test("says so when its result cannot be written, and exits with 1", () => {
    const { status, stderr } = intoShell("> /dev/full");
    expect(status).toBe("1");
    expect(stderr).toMatch(/^error: cannot write the result: .*ENOSPC.*\n$/);
  });
});

describe("istio", () => {
  const SIDECAR = `
gateway: { listen: "0.0.0.0:3001", hosts: [one] }
egress: { listen: "0.0.0.0:8081", address: "one.mcp.svc.cluster.local:8081" }
processor: { endpoints: ["mcp-router.mcp.svc.cluster.local:50051"] }
istio: { namespace: mcp, selector: { app: one } }
backends:
  one: { endpoints: [127.0.0.1:3001] }
routes:
  - { path: /mcp, backends: [one] }
`;

  test("prints the objects of a mesh", () => {
    const { status, stdout, stderr } = run("istio", "--mode", "sidecar", "--config", file("sidecar.yaml", SIDECAR));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^# Made by `mcp-router istio --mode sidecar`/);
    expect(stdout.match(/^kind: .*$/gm)).toEqual(["kind: Sidecar", "kind: DestinationRule", "kind: EnvoyFilter"]);
  });

  test("prints nothing and lists what to change where a mesh could not do what is configured, and exits with 1", () => {
    const { status, stdout, stderr } = run("istio", "--mode", "gateway", "--config", file("good.yaml", CONFIG));
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^error: \/.*\/good\.yaml: istio: is missing; add /),
      expect.stringMatching(/^error: \/.*\/good\.yaml: processor\.endpoints: /),
      expect.stringMatching(/^error: \/.*\/good\.yaml: egress\.address: /),
      expect.stringMatching(/^error: \/.*\/good\.yaml: backends\.one\.endpoints: /),
    ]);
  });

  test("knows two modes, of which one must be named", () => {
    const config = file("sidecar.yaml", SIDECAR);
    expect(run("istio", "--config", config)).toMatchObject({ status: 1, stdout: "" });
    const { status, stderr } = run("istio", "--mode", "waypoint", "--config", config);
    expect(status).toBe(1);
    expect(stderr).toContain("gateway, sidecar");
  });
});

describe("serve", () => {
  test("becomes ready, drains on SIGTERM and exits with 0", async () => {
    const http = await freePort();
    const config = file(
      "serve.yaml",
      `processor: { listen: "127.0.0.1:${await freePort()}", http: "127.0.0.1:${http}" }\n${CONFIG}`,
    );
    const child = start("serve", process.execPath, [MAIN, "serve", "--config", config]);
    await waitFor(child, async () => (await statusOf(`http://127.0.0.1:${http}/readyz`)) === 200);
    expect(await (await fetch(`http://127.0.0.1:${http}/healthz`)).text()).toBe("ok\n");
    expect(await statusOf(`http://127.0.0.1:${http}/nothing`)).toBe(404);
    expect(await child.stop()).toBe(0);
    const lines = child
      .output()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).msg);
    expect(lines).toEqual(["serving", "draining", "stopped"]);
  });

  test("refuses several workers with sessions in memory, and says what to use", () => {
    const { status, stderr } = run("serve", "--config", file("memory.yaml", CONFIG), "--workers", "2");
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: .*: processor\.workers: got 2, expected 1 with store\.kind memory: .*redis\n$/);
  });

  test("says which address is taken, and exits with 1", async () => {
    const port = await freePort();
    const text = (grpc: number) => `processor: { listen: "127.0.0.1:${grpc}", http: "127.0.0.1:${port}" }\n${CONFIG}`;
    const first = start("serve", process.execPath, [
      MAIN,
      "serve",
      "--config",
      file("one.yaml", text(await freePort())),
    ]);
    await waitFor(first, async () => first.output().includes("serving"));
    const { status, stderr } = run("serve", "--config", file("two.yaml", text(await freePort())));
    expect(status).toBe(1);
    expect(stderr).toContain(
      `error: cannot listen on 127.0.0.1:${port} (processor.http): something listens there already; end it, or write another address (EADDRINUSE)\n`,
    );
    await first.stop();
  });
});

describe("the npm package", () => {
  test("is built anew when it is packed, and holds all that the program needs beside its dependencies", async () => {
    const packed = spawnSync("npm", ["pack", "--silent", "--pack-destination", directory], { cwd: ROOT });
    expect(packed.status).toBe(0);
    const { name, version, bin } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    spawnSync("tar", ["-xzf", `${name}-${version}.tgz`], { cwd: directory });
    symlinkSync(join(ROOT, "node_modules"), join(directory, "package/node_modules"));
    // A store in Redis reads its scripts at the start, whether or not there is one.
    const config = file(
      "packed.yaml",
      `processor: { listen: "127.0.0.1:${await freePort()}" }\n` +
        `store: { kind: redis, url: "redis://127.0.0.1:${await freePort()}" }\n${CONFIG}`,
    );
    const program = join(directory, "package", bin["mcp-router"]);
    expect(spawnSync(process.execPath, [program, "up", "--help"], { encoding: "utf8" }).stdout).toContain("--envoy");
    const server = await startMcpServer("one");
    onTestFinished(() => server.close());
    const first = join(directory, "first.yaml");
    const init = start("init", process.execPath, [program, "init", `http://${server.endpoint}/mcp`, "--out", first]);
    expect(await init.exited).toBe(0);
    expect(run("check", "--config", first)).toMatchObject({ status: 0, stdout: `${first}: ok\n` });

    const child = start("packed", process.execPath, [program, "serve", "--config", config]);
    onTestFinished(async () => void (await child.stop()));
    await waitFor(child, async () => child.output().includes('"serving"'));
    expect(await child.stop()).toBe(0);
  });
});
