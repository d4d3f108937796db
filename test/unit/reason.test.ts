import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { whyFailed } from "../../shared/redis/fault.ts";
import { kindOf, reasonOf } from "../../shared/util/reason.ts";

const coded = (message: string, code: string) => Object.assign(new Error(message), { code });

test.each<[what: string, error: unknown, reason: string]>([
  ["a plain error", new Error("the lease is gone"), "the lease is gone"],
  ["an error with a code", coded("connect failed", "ECONNREFUSED"), "ECONNREFUSED: connect failed"],
  ["an error of another kind", new TypeError("x is no function"), "TypeError: x is no function"],
  ["an error without a message", new RangeError(""), "RangeError"],
  ["a message with a quotation", new Error('cannot read "John Doe" here'), "cannot read … here"],
  [
    "a message with a URL",
    new Error("no answer from redis://u:secret@host/0 in time"),
    "no answer from (a URL) in time",
  ],
  ["a parser's error", new SyntaxError('Unexpected token J, "John Doe" is not valid JSON'), "SyntaxError"],
  ["a message of several lines", new Error("first\n  second"), "first second"],
  ["an error that says nothing", new Error(""), "an error that does not say what it is"],
  ["what is no error", "some text", "string"],
])("the reason of %s is one short line without what somebody sent", (_what, error, reason) => {
  expect(reasonOf(error)).toBe(reason);
});

test("a reason is never longer than a line of a log should be", () => {
  expect(reasonOf(new Error("x".repeat(5000))).length).toBeLessThanOrEqual(160);
});

test.each<[string, unknown, string | RegExp]>([
  ["a code", coded("John Doe", "EFOO"), "EFOO"],
  ["the name of its class", new TypeError("John Doe"), "TypeError"],
  [
    "where it was thrown, of a plain error",
    errorFrom("worker/events/handlers/x.ts:7"),
    "Error at worker/events/handlers/x.ts:7",
  ],
  ["words, of one thrown elsewhere", errorFrom("elsewhere/x.ts:7"), "an error that does not say what it is"],
  ["the type of what is no error", 7, "number"],
])("an error whose message may say anything is logged by %s", (_what, error, kind) => {
  expect(kindOf(error)).toBe(kind);
});

function errorFrom(place: string): Error {
  const error = new Error("John Doe");
  error.stack = `Error: John Doe\n    at f (/srv/app/${place}:3)`;
  return error;
}

test.each([
  [
    new Error("OOM command not allowed when used memory > 'maxmemory'."),
    "it is out of memory, or cannot write to its disk",
  ],
  [new Error("Connection is closed."), "it does not answer in time"],
  [new Error("connect ECONNREFUSED 127.0.0.1:6379"), "nothing listens at its address (ECONNREFUSED)"],
  [new Error("getaddrinfo ENOTFOUND redis.example"), "its host name cannot be resolved (ENOTFOUND)"],
  [new Error("All sentinels are unreachable. Last error: connect ECONNREFUSED ::1:26379"), "no Sentinel answers"],
  [new Error("NOPERM this user has no permissions to run the 'xadd' command"), "its user may not run a command: xadd"],
  [new Error("the job is not there"), "the job is not there"],
])("why something that asks Redis failed: %s", (error, reason) => {
  expect(whyFailed(error)).toBe(reason);
});

test("no log line gives the name of an error as the reason", () => {
  const files = ["functions", "shared", "worker"].flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).map((file) => `${root}/${file}`),
  );
  const sources = files.filter((file) => file.endsWith(".ts"));
  expect(sources.length).toBeGreaterThan(100);
  for (const file of sources)
    expect(readFileSync(file, "utf8"), file).not.toMatch(/reason: (?:\w+\.)?\(?error(?: as \w+\))?\.name\b/);
});
