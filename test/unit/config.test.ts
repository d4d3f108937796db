import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { functionsEnv } from "../../functions/config/node-config.ts";
import {
  ConfigError,
  describeConfig,
  env,
  type EnvSchema,
  helpText,
  parseConfig,
  sharedEnv,
} from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";

const schema = z.object({
  PASSWORD: env.note(z.string().min(8, "must have at least 8 characters").describe("A password."), { secret: true }),
  OLD: env.note(z.string().optional().describe("The one before."), { secret: true, needs: "A" }),
  A: env.note(z.string().optional().describe("One way."), { oneOf: ["A", "B"], secret: true }),
  B: env.note(z.string().optional().describe("Another way."), { oneOf: ["A", "B"] }),
  PLAIN: z.string().default("x").describe("No secret."),
});

function file(content: string): string {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-config-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, "secret"), content);
  return join(dir, "secret");
}

/** What is wrong with an environment. */
function problems(environment: Record<string, string>, of: EnvSchema = schema) {
  try {
    parseConfig(of, environment, fromDisk);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

describe("a secret from a file", () => {
  test.each([
    ["correct horse", "correct horse"],
    ["correct horse\n", "correct horse"],
    ["correct horse\r\n", "correct horse"],
    [" correct horse \n\n", " correct horse \n"],
  ])("%j is %j: the line break at its end is no part of it", (content, secret) => {
    const PASSWORD_FILE = file(content);
    const config = parseConfig(schema, { PASSWORD_FILE, A: "a", PASSWORD: "" }, fromDisk);
    expect(config).toMatchObject({ PASSWORD: secret, secretFiles: { PASSWORD: PASSWORD_FILE } });
  });

  test("an unusable one is reported by its variable, without path or content", () => {
    const bad = {
      "PASSWORD_FILE: the file that it names is empty": { PASSWORD_FILE: file(" \n") },
      "PASSWORD_FILE: the file that it names cannot be read (ENOENT)": { PASSWORD_FILE: "/canary/secret" },
      "PASSWORD_FILE: the file that it names is not a plain file of at most 64 KiB": { PASSWORD_FILE: tmpdir() },
      "PASSWORD: must have at least 8 characters": { PASSWORD_FILE: file("canary\n") },
      "PASSWORD: is set, and so is PASSWORD_FILE; set only one of them": {
        PASSWORD: "canary canary",
        PASSWORD_FILE: file("canary\n"),
      },
    };
    for (const [problem, environment] of Object.entries(bad))
      expect(problems({ ...environment, A: "a" })).toEqual([problem]);
  });

  test("one that has no end, or is too large for a secret, is not read", () => {
    for (const PASSWORD_FILE of ["/dev/zero", file("x".repeat(65_537))])
      expect(problems({ PASSWORD_FILE, A: "a" })).toEqual([
        "PASSWORD_FILE: the file that it names is not a plain file of at most 64 KiB",
      ]);
  });

  test("is refused on a host that has no files, and ignored for what is no secret", () => {
    const path = file("correct horse");
    expect(() => parseConfig(schema, { PASSWORD_FILE: path, A: "a" })).toThrow(
      "PASSWORD_FILE: files are not available on this host; set PASSWORD itself",
    );
    expect(parseConfig(schema, { PASSWORD: "correct horse", A: "a", PLAIN_FILE: path }, fromDisk).PLAIN).toBe("x");
  });
});

describe("variables that go together", () => {
  const PASSWORD = "correct horse";
  test("exactly one of two ways is to be chosen, however it is given", () => {
    const a = file("a");
    expect(problems({ PASSWORD })).toEqual(["A: is not set, and neither is B; set one of them"]);
    expect(problems({ PASSWORD, A: "a", B: "b" })).toEqual(["A: is set, and so is B; set only one of them"]);
    expect(problems({ PASSWORD, A_FILE: a, B: "b" })).toEqual(["A: is set, and so is B; set only one of them"]);
    for (const one of [{ A: "a" }, { B: "b" }, { A_FILE: a }]) expect(problems({ PASSWORD, ...one })).toEqual([]);
  });

  test("one that has no effect without another is refused without it", () => {
    expect(problems({ PASSWORD, B: "b", OLD: "o" })).toEqual(["OLD: has no effect without A"]);
    expect(problems({ PASSWORD, A: "a", OLD: "o" })).toEqual([]);
  });

  test("is reported together with all other errors", () => {
    expect(problems({ OLD: "o" })).toEqual([
      "PASSWORD: is not set",
      "OLD: has no effect without A",
      "A: is not set, and neither is B; set one of them",
    ]);
  });
});

test("help and the README's table say what may come from a file, and what to choose between", () => {
  expect(describeConfig(schema)).toEqual([
    {
      name: "PASSWORD",
      fallback: "required",
      description: "A password. Or `PASSWORD_FILE`: path of a file that contains it.",
    },
    { name: "OLD", fallback: "", description: "The one before. Or `OLD_FILE`: path of a file that contains it." },
    {
      name: "A",
      fallback: "",
      description: "One way. Either this or `B` is required. Or `A_FILE`: path of a file that contains it.",
    },
    { name: "B", fallback: "", description: "Another way. Either this or `A` is required." },
    { name: "PLAIN", fallback: "x", description: "No secret." },
  ]);
  expect(helpText("It.", schema, false)).not.toContain("_FILE");
});

describe("configuration of token verification", () => {
  const REDIS_URL = "redis://localhost";
  const JWT_SECRET = "x".repeat(32);
  const JWKS_URL = "https://identity.example/keys";
  const url = "JWKS_URL: must be an https:// URL without a password; http:// only for this machine itself";
  test.each([
    [{ JWT_SECRET }, ""],
    [{ JWT_SECRET, JWT_SECRET_PREVIOUS: "y".repeat(32) }, ""],
    [{ JWKS_URL, JWT_AUDIENCE: "a", JWT_ISSUER: "i", JWT_CLOCK_TOLERANCE_S: "5", ORG: "o" }, ""],
    [{ JWKS_URL: "http://localhost:1/keys" }, ""],
    [{ JWKS_URL: "http://[::1]/keys" }, ""],
    [{}, "JWT_SECRET: is not set, and neither is JWKS_URL; set one of them"],
    [{ JWT_SECRET: "" }, "JWT_SECRET: is not set, and neither is JWKS_URL; set one of them"],
    [{ JWT_SECRET, JWKS_URL }, "JWT_SECRET: is set, and so is JWKS_URL; set only one of them"],
    [{ JWKS_URL, JWT_SECRET_PREVIOUS: "y".repeat(32) }, "JWT_SECRET_PREVIOUS: has no effect without JWT_SECRET"],
    [{ JWT_SECRET, JWT_SECRET_PREVIOUS: "short" }, "JWT_SECRET_PREVIOUS: must have at least 32 characters"],
    [{ JWKS_URL: "http://identity.example/keys" }, url],
    [{ JWKS_URL: "http://localhost.evil.example/keys" }, url],
    [{ JWKS_URL: "https://user:canary@identity.example/keys" }, url],
    [{ JWKS_URL: "file:///etc/passwd" }, url],
    [{ JWKS_URL: "keys" }, url],
  ])("%j: %s", (given, problem) => expect(problems({ REDIS_URL, ...given }, functionsEnv).join()).toBe(problem));

  test.each(["-1", "301", "1.5", "x"])("a clock tolerance of %s s is refused", (JWT_CLOCK_TOLERANCE_S) => {
    expect(problems({ REDIS_URL, JWT_SECRET, JWT_CLOCK_TOLERANCE_S }, functionsEnv)).toEqual([
      expect.stringMatching(/^JWT_CLOCK_TOLERANCE_S: /),
    ]);
  });
});

test.each([
  ["INFO", "info"],
  ["Warning", "warn"],
  ["CRITICAL", "fatal"],
  ["debug", "debug"],
])("LOG_LEVEL=%s is the level %s", (given, level) => {
  const text = sharedEnv.LOG_LEVEL.parse(given);
  expect(text).toBe(level);
  expect(() => sharedEnv.LOG_LEVEL.parse("loud")).toThrow();
});
