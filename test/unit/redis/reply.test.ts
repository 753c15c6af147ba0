import { expect, test } from "vitest";
import { replyCode, replyText } from "../../../src/redis/reply.ts";

const SCRIPT = "ERR Error running script (call to f_65fd4816367cd2aeb76d0f4c5fa3d564aa97fe5e): @user_script:1: ";

test.each([
  // As Redis 6.2 and Valkey 7.2 say it, the former with its own words around what a command in a script is answered.
  [`${SCRIPT}@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.`, "OOM"],
  ["OOM command not allowed when used memory > 'maxmemory'. script: on @user_script:1.", "OOM"],
  [`${SCRIPT}@user_script: 1: -READONLY You can't write against a read only replica.`, "READONLY"],
  ["READONLY You can't write against a read only replica. script: on @user_script:1.", "READONLY"],
  [`${SCRIPT}@user_script: 1: -NOREPLICAS Not enough good replicas to write.`, "NOREPLICAS"],
  [`${SCRIPT}WRONGTYPE Operation against a key holding the wrong kind of value`, "WRONGTYPE"],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"],
  ["NOPERM this user has no permissions to run the 'eval' command or its subcommand", "NOPERM"],
  [`${SCRIPT}attempt to compare nil with number`, "ERR"],
  ["Connection is closed.", "ERR"],
  ["", "ERR"],
])("the code of %j", (message, code) => {
  expect(replyCode(message)).toBe(code);
});

test("of a command in a script the words are those of the command", () => {
  expect(replyText(`${SCRIPT}@user_script: 1: -NOREPLICAS Not enough good replicas to write.`)).toBe(
    "NOREPLICAS Not enough good replicas to write.",
  );
});
