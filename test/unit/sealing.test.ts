import { expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../shared/config/config.ts";
import { openSealer, sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { z } from "zod";
import { keptLog } from "../support/log.ts";

const PAYLOAD_KEYS = `a:${Buffer.alloc(32, 1).toString("base64")}`;
const PRODUCTION = { NODE_ENV: "production" };

/** What a start with this environment comes to. */
async function start(environment: Record<string, string>) {
  const { log, lines } = keptLog();
  const warnings = () => lines.filter((line) => line.level === "warn").map((line) => line.message);
  try {
    const sealer = openSealer(parseConfig(z.object(sealingEnv), environment), log);
    const stored = await sealer.seal("command", "1", "{}");
    const clear = await sealer.open("command", "1", "{}").catch(() => "refused");
    return { seals: stored !== "{}", opensClear: clear === "{}", warns: warnings().length > 0 };
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join();
    throw error;
  }
}

test.each([
  ["without keys", {}, { seals: false, opensClear: true, warns: true }],
  ["with keys", { PAYLOAD_KEYS }, { seals: true, opensClear: false, warns: false }],
  ["with keys in production", { PAYLOAD_KEYS, ...PRODUCTION }, { seals: true, opensClear: false, warns: false }],
  [
    "with keys where clear text is not allowed",
    { PAYLOAD_KEYS, ALLOW_UNSEALED_PAYLOADS: "false" },
    { seals: true, opensClear: false, warns: false },
  ],
  [
    "with keys in production where clear text is allowed",
    { PAYLOAD_KEYS, ...PRODUCTION, ALLOW_UNSEALED_PAYLOADS: "true" },
    { seals: true, opensClear: true, warns: false },
  ],
  [
    "without keys in production where that is allowed",
    { ...PRODUCTION, ALLOW_UNSEALED_PAYLOADS: "true" },
    { seals: false, opensClear: true, warns: true },
  ],
])("a start %s seals, opens clear text and warns as it should", async (_how, environment, expected) => {
  expect(await start(environment)).toEqual(expected);
});

test.each([
  ["without keys in production", PRODUCTION, /^PAYLOAD_KEYS: is not set.*openssl rand -base64 32/],
  ["without keys where clear text is not allowed", { ALLOW_UNSEALED_PAYLOADS: "no" }, /^PAYLOAD_KEYS: is not set/],
  [
    "with an answer that is none",
    { ALLOW_UNSEALED_PAYLOADS: "perhaps" },
    /^ALLOW_UNSEALED_PAYLOADS: must be true or false$/,
  ],
  [
    "with a key that is too short",
    { PAYLOAD_KEYS: "a:c2hvcnQ=" },
    /^PAYLOAD_KEYS: entry 1 has a key that is not 32 bytes/,
  ],
])("a start %s is refused, with what to do", async (_how, environment, told) => {
  expect(await start(environment)).toMatch(told);
});
