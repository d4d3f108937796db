import { describe, expect, it } from "vitest";
import { pauseMs } from "../../tools/replay/send.ts";
import { readArgs, wholeNumber } from "../../tools/support/cli.ts";
import { readSpeed } from "../../tools/replay/pace.ts";

const options = { once: { type: "boolean" }, help: { type: "boolean" } } as const;

describe("arguments of npm run replay", () => {
  it("are read", () => {
    expect(readArgs({ options, args: ["--once"] }, "up", {}).values.once).toBe(true);
  });

  it.each([
    [["--nonce"], /--nonce/],
    [["file"], /file/],
    [["--once=yes"], /--once/],
  ])("%j are refused by name", (args, message) => {
    expect(() => readArgs({ options, args }, "up", {})).toThrow(message);
  });

  it("that npm consumed are reported with the right command", () => {
    expect(() => readArgs({ options, args: [] }, "up", { npm_config_once: "true" })).toThrow("npm run up -- --once");
  });

  it.each(["0", "65536", "80.5", "-1", "", "1e3", "http"])("a port of %j is refused", (value) => {
    expect(() => wholeNumber("port", value, 1, 65_535)).toThrow(/--port must be a whole number from 1 to 65535/);
  });

  it.each([
    ["max", "max"],
    ["60", 60],
    ["0.5", 0.5],
    ["0", undefined],
    ["-1", undefined],
    ["", undefined],
    ["fast", undefined],
  ])("a speed of %j is %j", (value, speed) => expect(readSpeed(value)).toBe(speed));
});

const answer = (retryAfter?: string) => ({
  status: 503,
  headers: retryAfter === undefined ? {} : { "retry-after": retryAfter },
  body: {},
});
const now = () => Date.parse("2026-01-31T12:00:00Z");

describe("the pause before a repeat", () => {
  it.each([
    ["3", 3_000],
    ["0", 0],
    ["Sat, 31 Jan 2026 12:00:05 GMT", 5_000],
    ["Sat, 31 Jan 2026 11:00:00 GMT", 0],
  ])("is what Retry-After: %s asks for", (retryAfter, ms) => {
    expect(pauseMs(answer(retryAfter), 0, () => 0.5, now)).toBe(ms);
  });

  it("grows to two seconds, with jitter, without it", () => {
    const pauses = (random: number) =>
      [0, 1, 2, 20].map((repeats) => pauseMs(new Error("reset"), repeats, () => random, now));
    expect(pauses(1)).toEqual([50, 100, 200, 2_000]);
    expect(pauses(0)).toEqual([25, 50, 100, 1_000]);
    expect(pauseMs(answer("soon"), 0, () => 1, now)).toBe(50);
  });
});
