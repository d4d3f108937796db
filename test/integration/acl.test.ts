import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { runScript } from "../../tools/setup/run-script.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, startBridge, tokens } from "../support/bridge.ts";
import { ownRedis } from "../support/own-redis.ts";
import { freshPrefix } from "../support/redis.ts";
import { startReplicated } from "../support/sentinel.ts";
import { openStream } from "../support/sse.ts";

const STATUS = { unit_id: "1", status: "enroute" };
const PASSWORD = "p@ss/word";

/** The rights that docs/configuration.md tells people to give, for a prefix. */
function documentedRights(prefix: string): string[] {
  const [, rights = ""] =
    /ACL SETUSER bridge on >PASSWORD (.*)/.exec(readFileSync("docs/configuration.md", "utf8")) ?? [];
  return rights.replaceAll("PREFIX", prefix).split(" ");
}

/** A Redis with a user of these rights. Answers the URL of that user. */
async function redisWithUser(rights: readonly string[]) {
  const redis = await ownRedis();
  const admin = new Redis(redis.url);
  onTestFinished(() => admin.disconnect());
  await admin.acl("SETUSER", "bridge", "on", `>${PASSWORD}`, ...rights);
  return redis.url.replace("//", `//bridge:${encodeURIComponent(PASSWORD)}@`);
}

test("the documented rights are enough for every endpoint, the worker, the doctor and the audit", async () => {
  const prefix = freshPrefix();
  const redisUrl = await redisWithUser(documentedRights(prefix));
  const bridge = await startBridge({
    redisUrl,
    cad: { character: "modern", switches: { reject: { next: 1 } } },
    functions: { REDIS_PREFIX: prefix },
  });
  expect(await bridge.post("/units/status", STATUS, { Prefer: "wait=10" })).toMatchObject({ status: 502 });
  const waited = await bridge.post("/units/status", STATUS, { Prefer: "wait=10" });
  expect(waited).toMatchObject({ status: 200, body: { status: "confirmed" } });
  const id = String(waited.body["command_id"]);
  for (let i = 0; i < 6; i += 1) await bridge.post("/units/status", { ...STATUS, unit_id: `u${i}` });
  const paths = ["/health", "/status", `/commands/${id}`, "/dead-letters", "/destinations", "/audit", "/units"];
  for (const path of [...paths, "/incidents", "/units/1"]) expect((await bridge.get(path)).status, path).toBe(200);
  expect(await bridge.post("/rooms/join", { room: "unit:1" })).toMatchObject({ status: 202 });
  expect(await bridge.post("/dead-letters/redrive", {})).toMatchObject({ status: 202 });
  expect((await bridge.post(`/dead-letters/${id}/redrive`, {})).status).toBeLessThan(500);
  expect((await bridge.post("/destinations/none/enable", {})).status).toBe(404);
  const stream = await openStream(bridge, tokens.dispatcher, "?last_event_id=0-0");
  expect(await stream.told(1)).not.toEqual([]);
  expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 200 });
  const env = { REDIS_URL: redisUrl, REDIS_PREFIX: prefix };
  expect(await runScript("tools/audit/audit.ts", ["verify"], env).ended).toMatchObject({ code: 0 });
  const cad = { CAD_BACKEND_URL: bridge.cad.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN };
  const doctor = await runScript("tools/doctor/doctor.ts", [], { ...env, ...cad }).ended;
  expect(doctor.output).not.toMatch(/NOPERM|permission/i);
  expect(doctor.output).toContain("Redis is version");
  expect(bridge.logs.filter((line) => /NOPERM|may not/.test(JSON.stringify(line)))).toEqual([]);
}, 60_000);

test.each([
  ["keys, since the pattern lacks the braces", (prefix: string) => [`~${prefix}:*`, `&{${prefix}}:*`, "+@all"], /keys/],
  ["a command", (prefix: string) => [`~{${prefix}}:*`, `&{${prefix}}:*`, "+@all", "-@scripting"], /command/],
])("a user that may not use %s: the answer, health and log say so", async (_what, rights, lacks) => {
  const prefix = freshPrefix();
  const redisUrl = await redisWithUser(rights(prefix));
  const bridge = await startBridge({ redisUrl, functions: { REDIS_PREFIX: prefix }, worker: false });
  const refused = { code: "redis-refused", detail: expect.stringMatching(lacks) };
  expect(await bridge.post("/units/status", STATUS)).toMatchObject({ status: 503, body: refused });
  const said = [expect.objectContaining({ code: "redis-refused", message: expect.stringMatching(lacks) })];
  expect(await bridge.get("/health")).toMatchObject({ status: 503, body: { problems: said } });
  const worker = await bridge.startWorker();
  const own = await until("the worker says so", async () => {
    const health = await (await fetch(`http://127.0.0.1:${worker.port}/health`)).json();
    return (health as { problems: { code: string }[] }).problems.find(({ code }) => code === "redis-refused");
  });
  expect(own).toMatchObject(said[0] ?? {});
  expect(bridge.logs).toContainEqual(
    expect.objectContaining({ level: "error", fields: expect.objectContaining({ code: "redis-refused" }) }),
  );
});

test("a user that may use no channels: all is delivered, waits look by themselves, and the log says so", async () => {
  const prefix = freshPrefix();
  const redisUrl = await redisWithUser([`~{${prefix}}:*`, "resetchannels", "+@all"]);
  const bridge = await startBridge({ redisUrl, cad: { character: "modern" }, functions: { REDIS_PREFIX: prefix } });
  const waited = await bridge.post("/units/status", STATUS, { Prefer: "wait=10" });
  expect(waited).toMatchObject({ status: 200, body: { status: "confirmed" } });
  await until("both say so", () => bridge.logs.filter((line) => line.fields["code"] === "redis-refused").length >= 2);
});

test("the port of a Sentinel in a redis:// URL is named as what it is", async () => {
  const { url } = await startReplicated();
  const port = /:(\d+),/.exec(url)?.[1];
  const bridge = await startBridge({ redisUrl: `redis://127.0.0.1:${port}`, worker: false });
  const { status, body } = await bridge.post("/units/status", STATUS);
  expect({ status, body }).toMatchObject({ status: 503, body: { code: "redis-unsuitable" } });
  expect(body["detail"]).toContain("redis+sentinel://");
});
