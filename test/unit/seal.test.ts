import { describe, expect, test } from "vitest";
import { createSealer, type PayloadKey, payloadKeys, SealError } from "../../shared/sealing/seal.ts";

const key = (id: string, fill = id.charCodeAt(0)): PayloadKey => ({ id, secret: new Uint8Array(32).fill(fill) });
const [a, b] = [key("a"), key("b")];

const codeOf = (opening: Promise<string>) =>
  opening.then(
    () => "opened",
    (error: unknown) => (error instanceof SealError ? error.code : "another error"),
  );

describe("a sealed text", () => {
  test.each([
    ["is JSON", '{"patient":"Ada Lovelace"}'],
    ["is not ASCII", JSON.stringify({ name: "Zoë Ångström 李小龍 🚑 \u0000 \u2028" })],
    ["is empty", ""],
    ["begins with a byte order mark", "\uFEFF{}, and more than that"],
    ["is large", JSON.stringify("é".repeat(1_000_000))],
  ])("opens again, and shows nothing of itself, if it %s", async (_what, text) => {
    const sealer = createSealer([a]);
    const stored = await sealer.seal("command", "id-1", text);
    expect(stored).toMatch(/^sealed:v1:a:[\w-]+$/);
    if (text !== "") expect(stored).not.toContain(text.slice(0, 20));
    expect(await sealer.open("command", "id-1", stored)).toBe(text);
  });

  test("differs each time, so that equal texts cannot be recognised", async () => {
    const sealer = createSealer([a]);
    expect(await sealer.seal("state", "x", "{}")).not.toBe(await sealer.seal("state", "x", "{}"));
  });

  test("opens only as what it is, and where it belongs", async () => {
    const sealer = createSealer([a]);
    const stored = await sealer.seal("command", "id-1", "{}");
    expect(await codeOf(sealer.open("command", "id-2", stored))).toBe("tampered");
    expect(await codeOf(sealer.open("webhook", "id-1", stored))).toBe("tampered");
  });

  test("with any character changed, left out or added does not open", async () => {
    const sealer = createSealer([a, b]);
    const stored = await sealer.seal("command", "id-1", '{"unit":"M1"}');
    for (let at = "sealed:".length; at < stored.length; at += 1) {
      const other = stored[at] === "b" ? "c" : "b";
      const changed = `${stored.slice(0, at)}${other}${stored.slice(at + 1)}`;
      const shorter = `${stored.slice(0, at)}${stored.slice(at + 1)}`;
      for (const text of [changed, shorter])
        expect(await codeOf(sealer.open("command", "id-1", text)), text).not.toBe("opened");
    }
    for (const more of ["A", "=", " ", "\n", ":"])
      expect(await codeOf(sealer.open("command", "id-1", stored + more)), more).toBe("tampered");
    for (const cut of ["sealed:", "sealed:v1:a:", "sealed:v1:a:AAAA", "sealed:v2:a:AAAA"])
      expect(await codeOf(sealer.open("command", "id-1", cut)), cut).toBe("tampered");
  });

  test("with the name of another key does not open, although the keys are the same", async () => {
    const sealer = createSealer([key("a", 7), key("b", 7)]);
    const stored = await sealer.seal("command", "id-1", "{}");
    expect(await codeOf(sealer.open("command", "id-1", stored.replace("v1:a", "v1:b")))).toBe("tampered");
  });
});

describe("payload keys", () => {
  test("rotate: the first seals, all open, and one that is gone is named", async () => {
    const old = await createSealer([a]).seal("command", "1", "{}");
    const rotated = createSealer([b, a]);
    expect(await rotated.open("command", "1", old)).toBe("{}");
    expect(await rotated.seal("command", "2", "{}")).toMatch(/^sealed:v1:b:/);
    for (const keys of [[b], []]) {
      const opening = createSealer(keys).open("command", "1", old);
      await expect(opening).rejects.toMatchObject({ code: "missing-key", message: expect.stringContaining('"a"') });
    }
  });

  test("without any, texts are stored as they are", async () => {
    const none = createSealer([]);
    expect(await none.seal("command", "1", '{"a":1}')).toBe('{"a":1}');
    expect(await createSealer([], "refuse").open("command", "1", "{}")).toBe("{}");
  });

  test("text from before opens, or is refused, as it is wanted", async () => {
    expect(await createSealer([a]).open("command", "1", "{}")).toBe("{}");
    expect(await codeOf(createSealer([a], "refuse").open("command", "1", "{}"))).toBe("unsealed");
  });
});

describe("fingerprints", () => {
  test("of the same text agree under every key that both know, and are of no use without one", async () => {
    const [before] = createSealer([a]).fingerprints("text");
    const after = createSealer([b, a]).fingerprints("text");
    expect(after[0]).toMatch(/^hmac:v1:b:[0-9a-f]{64}$/);
    expect(after).toContain(before);
    expect(createSealer([b, a]).fingerprints("texts")).not.toContain(before);
    expect(createSealer([key("a", 1)]).fingerprints("text")).not.toContain(before);
  });

  test("also agree with those from before there were keys, unless clear text is refused", async () => {
    const [plain] = createSealer([]).fingerprints("abc");
    expect(plain).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(createSealer([a]).fingerprints("abc")).toContain(plain);
    expect(createSealer([a], "refuse").fingerprints("abc")).not.toContain(plain);
  });
});

describe("PAYLOAD_KEYS", () => {
  const good = Buffer.alloc(32, 1).toString("base64");

  test("is a list of ids and keys", () => {
    const keys = payloadKeys.parse(`2026-11:${good}, old.1:${good}\nolder:${good}\n`);
    expect(keys.map(({ id }) => id)).toEqual(["2026-11", "old.1", "older"]);
    expect(keys[0]?.secret).toEqual(new Uint8Array(32).fill(1));
  });

  test.each([
    [good, "entry 1 is not ID:KEY"],
    [`a:${good},`, "entry 2 is not ID:KEY"],
    [`a:${good},a:${good}`, "entry 2 has the id of one before it"],
    [`a/b:${good}`, "entry 1 has an id that is not"],
    [`:${good}`, "entry 1 has an id that is not"],
    [`a:${good.slice(1)}`, "entry 1 has a key that is not 32 bytes in base64"],
    [`a:b:${good}`, "entry 1 has a key that is not 32 bytes in base64"],
    [`a:${Buffer.alloc(16, 1).toString("base64")}`, "entry 1 has a key that is not 32 bytes in base64"],
  ])("that cannot work is told by its place, without its value (%#)", (text, told) => {
    const messages = payloadKeys.safeParse(text).error?.issues.map((issue) => issue.message);
    expect(messages).toEqual([expect.stringContaining(told)]);
    expect(messages?.join()).not.toContain(good.slice(1, 20));
  });
});
