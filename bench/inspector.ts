/** Asks a Node process, by its inspector, to collect its garbage: what its memory then is does not hang on when it last did. */
import { setTimeout as sleep } from "node:timers/promises";

/** How long the inspector may take to listen, in ms. */
const PATIENCE = 5_000;

/**
 * Has the process collect all its garbage, and resolves when it has. Its inspector listens from then on, at no cost.
 * @param port what `--inspect-port` said when it was started
 */
export async function collectGarbage(pid: number, port: number): Promise<void> {
  process.kill(pid, "SIGUSR1");
  const socket = new WebSocket(await debuggerUrl(port));
  const answered = Promise.withResolvers<void>();
  socket.addEventListener("open", () => socket.send(JSON.stringify({ id: 1, method: "HeapProfiler.collectGarbage" })));
  socket.addEventListener("message", () => answered.resolve());
  socket.addEventListener("error", () => answered.reject(new Error(`the inspector of process ${pid} does not answer`)));
  await answered.promise;
  socket.close();
}

async function debuggerUrl(port: number): Promise<string> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as [
        { readonly webSocketDebuggerUrl: string }, // Of a process there is one.
      ];
      return targets[0].webSocketDebuggerUrl;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
