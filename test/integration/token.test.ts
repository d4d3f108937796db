import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { createAuthenticate } from "../../functions/middleware/auth.ts";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { noLog } from "../../shared/util/log.ts";
import { readWanted } from "../../tools/token/token.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";

const ROOT = join(import.meta.dirname, "../..");
const SECRET = "a-secret-that-only-this-test-knows-0123456789";
const LOAD_ENV = join(ROOT, "tools/setup/load-env.cjs");

function run(args: string[], env: Record<string, string>, cwd = ROOT) {
  const script = join(ROOT, "tools/token/token.ts");
  return spawnSync(process.execPath, ["-r", LOAD_ENV, script, ...args], {
    encoding: "utf8",
    env,
    cwd,
    timeout: 20_000,
  });
}

function directory(env: string): string {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-env-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, ".env"), env);
  return dir;
}

const check = (token: string, more: Record<string, string> = {}) => {
  const config = parseConfig(functionsEnv, { REDIS_URL: "redis://x", JWT_SECRET: SECRET, ...more });
  return createAuthenticate(config, { log: noLog })(`Bearer ${token}`);
};

test("a token is signed with the role, subject, units and organisation that were asked for", async () => {
  const args = ["--role", "crew", "--sub", "crew-7", "--units", "M1, M2", "--expires", "30d"];
  const more = { ORG: "north", JWT_ISSUER: "ems", JWT_AUDIENCE: "bridge" };
  const { stdout, stderr, status } = run(args, { JWT_SECRET: SECRET, ...more });
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/crew-7, role crew, the units M1, M2, until /);
  expect(stderr).not.toContain(stdout.trim());
  expect(await check(stdout.trim(), more)).toEqual({
    userId: "crew-7",
    role: "crew",
    roles: ["crew"],
    units: ["M1", "M2"],
    org: "north",
  });
});

test.each([
  ["no role", ["--sub", "x"], /--role must be one of admin, dispatcher, crew/],
  ["a role that does not exist", ["--role", "boss", "--sub", "x"], /--role must be/],
  ["no subject", ["--role", "crew"], /--sub is missing/],
  ["an empty unit", ["--role", "crew", "--sub", "x", "--units", "M1,"], /--units must be/],
  ["a lifetime that is none", ["--role", "crew", "--sub", "x", "--expires", "soon"], /--expires must be/],
  ["a lifetime of years", ["--role", "crew", "--sub", "x", "--expires", "500d"], /at most 400d/],
  ["an unknown option", ["--rolle", "crew"], /--rolle/],
])("%s is refused, and the error says why", (_what, args, message) => {
  expect(() => readWanted(args)).toThrow(message);
});

test("wrong arguments exit with 2, the usage, and no token", () => {
  const { stdout, stderr, status } = run(["--sub", "x"], { JWT_SECRET: SECRET });
  expect({ stdout, status }).toEqual({ stdout: "", status: 2 });
  expect(stderr).toMatch(/--role must be one of .*\n\nnpm run token -- /);
});

test.each([
  ["without a secret", {}, /JWT_SECRET: is not set/],
  ["where an identity provider signs", { JWKS_URL: "https://id.example/keys" }, /issued by the identity provider/],
])("%s it exits with 78", (_what, env, message) => {
  const { stderr, status } = run(["--role", "crew", "--sub", "x"], env);
  expect(status).toBe(78);
  expect(stderr).toMatch(message);
});

test("the file .env is read, and the environment takes precedence", async () => {
  const dir = directory(`JWT_SECRET=${SECRET}\nORG=south\n`);
  const { stdout, stderr } = run(["--role", "admin", "--sub", "x"], { ORG: "north" }, dir);
  expect(await check(stdout.trim(), { ORG: "north" }), stderr).toMatchObject({ role: "admin" });
});

test("a file that ENV_FILE names and that is not there is an error", () => {
  const { stderr, status } = run(["--help"], { ENV_FILE: "no-such-file" });
  expect(status).toBe(78);
  expect(stderr).toMatch(/The file no-such-file cannot be read \(ENOENT\)/);
});

test("a copy of .env.example starts functions and worker once the required secrets are filled in", () => {
  const example = parseEnv(readFileSync(join(ROOT, ".env.example"), "utf8")) as Record<string, string>;
  const known = new Set([...Object.keys(functionsEnv.shape), ...Object.keys(workerEnv.shape)]);
  expect(Object.keys(example).filter((name) => !known.has(name))).toEqual([]);
  expect(() => parseConfig(functionsEnv, example)).toThrow(/JWT_SECRET: is not set/);
  expect(() => parseConfig(workerEnv, example)).toThrow(/CAD_BACKEND_AUTH_TOKEN: is not set/);
  const filled = { ...example, JWT_SECRET: SECRET, CAD_BACKEND_AUTH_TOKEN: "t" };
  expect(parseConfig(functionsEnv, filled).PORT).toBe(8000);
  expect(parseConfig(workerEnv, filled).WORKER_PORT).toBe(9464);
});

test("npm scripts that start the bridge read .env", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const name of ["functions", "worker", "doctor", "audit", "token"])
    expect(scripts[name]).toContain("-r ./tools/setup/load-env.cjs");
});
