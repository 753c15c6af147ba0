/** The real nginx ahead of Envoy, as many people run it: NGINX, or the one on PATH. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { start } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";

/** Debian has it in /usr/sbin, which is not on everybody's PATH. */
const PROGRAM = [process.env.NGINX ?? "nginx", "/usr/sbin/nginx"].find(
  (program) => spawnSync(program, ["-v"]).status === 0,
);

export const NGINX_MISSING = PROGRAM === undefined;

if (NGINX_MISSING)
  process.stderr.write(
    "Tests behind nginx are skipped: there is no nginx on PATH (Debian: nginx-light), and NGINX names none.\n",
  );

export interface RunningNginx {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts it with one server on loopback.
 * @param location directives of `location /`
 * @param tls certificate and key, as paths; absent = none
 */
export async function startNginx(location: string, tls?: { cert: string; key: string }): Promise<RunningNginx> {
  if (PROGRAM === undefined) throw new Error("there is no nginx");
  const { path: directory, remove } = temporaryDirectory("nginx");
  mkdirSync(join(directory, "logs"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${directory}/${kind};`,
  );
  const ssl = tls ? { flag: " ssl", files: `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` } : undefined;
  writeFileSync(
    join(directory, "nginx.conf"),
    `daemon off; master_process off; pid ${directory}/pid; events {}
http { access_log off; ${temporary.join(" ")}
  server { listen 127.0.0.1:${port}${ssl?.flag ?? ""}; ${ssl?.files ?? ""} location / { ${location} } } }`,
  );
  const child = start("nginx", PROGRAM, ["-p", directory, "-c", join(directory, "nginx.conf"), "-e", "stderr"]);
  const stop = async () => {
    await child.stop();
    remove();
  };
  const ended = child.exited.then((code) => {
    throw new Error(`nginx ended with ${code}: ${child.output()}`);
  });
  ended.catch(() => undefined);
  for (;;) {
    if (await Promise.race([accepts(port), ended])) return { port, stop };
  }
}
