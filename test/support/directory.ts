import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

/**
 * A directory that is there while the tests of a file run: made before the file's own `beforeAll`, gone after its own
 * `afterAll`, where this is called ahead of both. Its path is known at once, for tables of tests.
 * @param what part of its name: who is to blame for one that stays
 */
export function directoryOfTests(what: string): string {
  // Short: the path of a socket in it has at most 107 bytes.
  const path = join(tmpdir(), `mcp-router-${what}-${randomUUID().slice(0, 8)}`);
  beforeAll(() => {
    mkdirSync(path);
  });
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
