import { expect, test } from "vitest";
import { createSealer } from "../../shared/sealing/seal.ts";
import { createPayloads } from "../../worker/delivery/payloads.ts";
import { keptLog } from "../support/log.ts";

const sealer = (id: string) => createSealer([{ id, secret: new Uint8Array(32).fill(id.charCodeAt(0)) }]);
const sealedWith = (key: string, id: string) => sealer(key).seal("command", id, "{}");

test("a payload that waits for a key is logged once, and is a problem until it is opened, forged or gone", async () => {
  const { log, lines } = keptLog();
  const payloads = createPayloads(sealer("mine"), log);
  expect(payloads.problem()).toBeUndefined();
  for (const id of ["1", "2", "3", "1"])
    expect(await payloads.open(id, await sealedWith("theirs", id))).toMatchObject({
      wait: expect.stringContaining('"theirs"'),
    });
  expect(await payloads.open("4", await sealedWith("other", "4"))).toHaveProperty("wait");
  expect(payloads.problem()).toMatch(/"theirs".*"other".*\(4 wait\)/);
  expect(lines.filter((line) => line.level === "error")).toHaveLength(2);

  expect(await payloads.open("1", await sealedWith("mine", "1"))).toEqual({ text: "{}" });
  expect(await payloads.open("2", await sealedWith("mine", "another"))).toHaveProperty("spoilt");
  payloads.forget("3");
  expect(payloads.problem()).toMatch(/^[^;]*"other"[^;]*\(1 wait\)$/);
  payloads.forget("4");
  expect(payloads.problem()).toBeUndefined();
});
