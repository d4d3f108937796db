import { resolve } from "node:path";
import { expect, test } from "vitest";
import { checkFolders, checkImport, checkPairs, LAYERS } from "../../tools/check/folders.ts";

test("every import of the project runs in one direction", () => {
  expect(checkFolders(resolve(import.meta.dirname, "../.."))).toEqual([]);
});

test("no folder is listed twice", () => {
  expect(LAYERS.filter((folder, i) => LAYERS.indexOf(folder) !== i)).toEqual([]);
});

test("two folders that import each other are found, whichever file does it", () => {
  const runs = ["worker/main.ts", "worker/runtime/leader.ts"] as const;
  expect(checkPairs([runs, ["worker/runtime/leader.ts", "worker/cad/ack.ts"]])).toEqual([]);
  const back = ["worker/runtime/lease.ts", "worker/config.ts"] as const;
  expect(checkPairs([runs, back])).toEqual(["worker/ and worker/runtime/ import each other"]);
});

test.each([
  ["a lower folder", "shared/outbox/append.ts", "shared/audit/trail.ts", undefined],
  ["its own folder", "shared/audit/trail.ts", "shared/audit/link.ts", undefined],
  ["a higher folder", "shared/audit/trail.ts", "shared/outbox/append.ts", /shared\/outbox\/ is above shared\/audit\//],
  ["the entry above it", "worker/runtime/leader.ts", "worker/main.ts", /is above/],
  ["the other side", "functions/app.ts", "worker/config/worker-env.ts", /functions\/ may not import from worker\//],
  ["a program", "shared/util/log.ts", "tools/up/up.ts", /shared\/ may not import from tools\//],
  ["a test", "tools/up/up.ts", "test/support/redis.ts", /tools\/ may not import from test\//],
  ["a folder nobody listed", "worker/new/file.ts", "worker/cad/ack.ts", /not listed in tools\/check\/folders.ts/],
])("judges an import from %s", (_, file, imported, wrong) => {
  const found = checkImport(file, imported);
  if (wrong === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(wrong);
});
