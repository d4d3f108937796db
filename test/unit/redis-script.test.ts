import { describe, expect, test } from "vitest";
import {
  definePayloadScript,
  defineScript,
  boolean,
  integer,
  object,
  objects,
  openScript,
  optional,
  string,
  strings,
  stringsByName,
} from "../../shared/redis/script.ts";
import { freshBackend } from "../support/redis.ts";

const PAIR = { id: string, by: string } as const;

describe("the declaration of a script", () => {
  test.each([
    [
      "a misspelt name",
      () => defineScript("s", { token: string }, "#!lua\nreturn args.tokn or args.token"),
      "args.tokn",
    ],
    ["a name that Lua leaves unread", () => defineScript("s", { token: string }, "#!lua\nreturn 1"), "args.token"],
    [
      "a misspelt name in a list",
      () =>
        defineScript(
          "s",
          { pairs: objects("pair", PAIR) },
          "#!lua\nfor _, pair in ipairs(args.pairs) do return {pair.id, pair.bye, pair.by} end",
        ),
      "pair.bye",
    ],
    [
      "a name of an object that Lua leaves unread",
      () =>
        defineScript("s", { pair: optional(object("pair", PAIR)) }, "#!lua\nlocal pair = args.pair\nreturn pair.id"),
      "pair.by",
    ],
    ["arguments by position", () => defineScript("s", {}, "#!lua\nreturn ARGV[1]"), "by name"],
    ["a payload that is not read", () => definePayloadScript("s", {}, "#!lua\nreturn 1"), "payload"],
    ["a text without its first line", () => defineScript("s", {}, "return 1"), "#!lua"],
  ])("is refused for %s", (_what, define, named) => {
    expect(define).toThrow(TypeError);
    expect(define).toThrow(named);
  });
});

describe("a script", () => {
  test("gets its arguments by name, with their types", async () => {
    const source = defineScript(
      "testArguments",
      {
        ...{ token: string, limit: integer, always: boolean, ids: strings, names: stringsByName },
        ...{ pairs: objects("pair", PAIR), note: optional(string) },
      },
      `#!lua
local pair = args.pairs[1]
return {args.token, args.limit, args.always and 'yes' or 'no', #args.ids, args.names.a, pair.id .. pair.by, args.note == nil and 'none' or args.note}`,
    );
    const { redis, keys } = freshBackend();
    const run = openScript(redis, source, [keys.base]);
    const given = { token: "t", limit: 3, always: false, ids: [], names: { a: "A" }, pairs: [{ id: "i", by: "b" }] };
    expect(await run(given)).toEqual(["t", 3, "no", 0, "A", "ib", "none"]);
    // @ts-expect-error a misspelt name does not compile
    await expect(run({ ...given, token: undefined, tokn: "t" })).resolves.toBeDefined();
    // @ts-expect-error nor does a number in the place of a text
    await expect(run({ ...given, token: 1 })).resolves.toBeDefined();
    // @ts-expect-error nor a missing one
    await expect(run({ limit: 3 })).rejects.toThrow();
  });

  test.each([
    ["quotes, control characters and NUL", '"\\ \n \u0000 '],
    ["a number with 16 digits", "1764357600000001"],
    ["letters beyond the basic plane", "ä 中 🚑"],
    ["an escaped half of a surrogate pair", JSON.stringify("\ud83d")],
  ])("stores a text with %s as it is", async (_what, given) => {
    const source = definePayloadScript("testEcho", { stored: string }, "#!lua\nreturn {args.stored, ARGV[2]}");
    const { redis, keys } = freshBackend();
    expect(await openScript(redis, source, [keys.base])({ stored: given }, given)).toEqual([given, given]);
  });

  test("stores half of a surrogate pair as a replacement character", async () => {
    const source = defineScript("testSurrogate", { stored: string }, "#!lua\nreturn args.stored");
    const { redis, keys } = freshBackend();
    expect(await openScript(redis, source, [keys.base])({ stored: "a\ud83d" })).toBe("a\ufffd");
  });
});
