import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { events } from "../../shared/events/table.ts";
import { type Bridge, CAD_TOKEN, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { writeRoutes } from "../support/destinations.ts";
import { ownRedis } from "../support/own-redis.ts";
import { BODIES, found, PATIENT, TELLTALES, WORD } from "../support/patient.ts";
import { startReceiver } from "../../tools/support/receiver.ts";
import { dumpRedis } from "../support/redis-dump.ts";
import { appRoutes } from "../support/routes.ts";
import { until } from "../../tools/support/until.ts";

/**
 * A canary patient and canary secrets run through everything that the bridge does, errors included; then everything that it
 * let out is searched: logs, answers, headers, health, and all of Redis.
 */
const REDIS_PASSWORD = "canary-redis-password-1b2c";
const PAYLOAD_KEY = Buffer.from("canary payload key of 32 bytes!!").toString("base64");
const AUDIT_KEY = Buffer.from("canary audit key, of 32 bytes !!").toString("base64");
const WEBHOOK_SECRET = `whsec_${Buffer.from("canary webhook secret of 32 byte").toString("base64")}`;
const HEADER_VALUE = "canary-header-value-77aa";
/** Whoever knows the path of a chat's webhook may post there. */
const URL_SECRET = "canary-of-a-url-55ee";
const SECRETS = [
  URL_SECRET,
  ...[REDIS_PASSWORD, PAYLOAD_KEY, AUDIT_KEY, WEBHOOK_SECRET, WEBHOOK_SECRET.slice(6), HEADER_VALUE],
  ...[JWT_SECRET, CAD_TOKEN, tokens.admin, tokens.dispatcher, tokens.crew],
];

/** What an authorised reader is shown a payload by: that is what they are for. */
const SHOWS_PAYLOADS = /^GET \/(events|units|incidents)/;

async function guardedRedis(): Promise<{ url: string; client: Redis }> {
  const { url, port } = await ownRedis();
  const client = new Redis(url);
  await client.acl("SETUSER", "bridge", "on", `>${REDIS_PASSWORD}`, "~*", "&*", "+@all");
  onTestFinished(() => client.disconnect());
  return { url: `redis://bridge:${REDIS_PASSWORD}@127.0.0.1:${port}`, client };
}

/** What came out of the bridge: every answer with its headers, by what was asked. */
type Heard = Map<string, string>;

async function askEverything(bridge: Bridge, heard: Heard): Promise<void> {
  for (const { name, method, path, body } of appRoutes()) {
    if (SHOWS_PAYLOADS.test(name) || name === "POST /reconnect" || name.startsWith("DELETE")) continue;
    const answer = method === "GET" ? await bridge.get(path) : await bridge.post(path, body ?? {});
    keep(heard, name, answer);
  }
  const own = await fetch(`http://127.0.0.1:${bridge.worker()?.port}/health`);
  heard.set(`the worker's own health ${heard.size}`, await own.text());
}

const keep = (heard: Heard, name: string, { status, headers, body }: Awaited<ReturnType<Bridge["get"]>>) =>
  heard.set(`${name} ${heard.size}`, JSON.stringify([status, [...headers], body]));

test("neither the patient nor a secret is in any log, error, answer or health report, nor anywhere in Redis", async () => {
  const { url: redisUrl, client } = await guardedRedis();
  const receiver = await startReceiver({ secret: WEBHOOK_SECRET });
  onTestFinished(() => receiver.stop());
  const url = `${receiver.url}/${URL_SECRET}?key=${URL_SECRET}`;
  const destination = { id: "ward", url, secret: WEBHOOK_SECRET, phi: true, retry_s: [0.05, 0.1] };
  const sealed = { PAYLOAD_KEYS: `canary:${PAYLOAD_KEY}`, LOG_LEVEL: "debug" };
  const worker = {
    ...sealed,
    AUDIT_KEY,
    CAD_CONFIRM_TIMEOUT_MS: "300",
    ROUTES_FILE: writeRoutes({
      destinations: [{ ...destination, headers: { "x-canary": HEADER_VALUE } }],
      rules: [{ to: "ward", events: ["*"] }],
    }),
    ALLOW_PRIVATE_DESTINATIONS: "true",
  };
  const cad = { character: "modern" as const };
  const bridge = await startBridge({ redisUrl, functions: sealed, worker, cad });
  const heard: Heard = new Map();
  const post = async (path: string, body: unknown, headers = {}) =>
    keep(heard, `POST ${path}`, await bridge.post(path, body, headers));

  // What is delivered, what the CAD refuses with words that quote it, and what is wrong with a body.
  for (const { path, body } of BODIES) await post(path, body, { Prefer: "wait=5" });
  bridge.cad.switches.reject = 1;
  for (const { path, body } of BODIES) await post(path, body, { Prefer: "wait=5" });
  bridge.cad.switches.reject = 0;
  for (const { path, body } of BODIES) {
    await post(path, { ...body, unit_id: { name: PATIENT.patient_name }, incident_id: [PATIENT.address] });
    await post(path, JSON.stringify(body).slice(0, -1));
    await post(path, JSON.stringify(body).replace("{", `{"address":"${PATIENT.address}","address":"2",`));
    keep(heard, "no token", await bridge.post(path, body, { Authorization: `Bearer ${tokens.admin}x` }));
  }

  // What the CAD says of the patient, well formed and not, and services that take it or fail.
  const said = events.map(({ name, examples: [example] }) => [name, { ...example, ...PATIENT }] as const);
  for (const [name, payload] of said) bridge.cad.broadcast(name, payload);
  receiver.answer({ status: 500 });
  for (const [name, payload] of said) bridge.cad.broadcast(name, { ...payload, unitId: payload, incidentId: [WORD] });
  for (const [name] of said) bridge.cad.broadcast(name, PATIENT.patient_name);
  bridge.cad.broadcast("shift:changed", PATIENT);
  await until("the services were told of the patient", () => JSON.stringify(receiver.received).includes(WORD));
  await until("a service failed for good at something", async () => {
    const { body } = await bridge.get("/status");
    return JSON.stringify(body).includes("ward");
  });
  await askEverything(bridge, heard);

  // What breaks on the way.
  bridge.cad.dropConnections();
  bridge.cad.switches.refuseToken = true;
  await until("the connection is gone", async () => (await bridge.get("/health")).body["status"] !== "healthy");
  await askEverything(bridge, heard);
  bridge.cad.switches.refuseToken = false;
  receiver.answer({ status: 204 });
  await bridge.healthy();
  const dump = await dumpRedis(client, bridge.prefix);
  await client.config("SET", "maxmemory", "1");
  for (const { path, body } of BODIES.slice(0, 3)) await post(path, body);
  await client.config("SET", "maxmemory", "0");
  await client.acl("SETUSER", "bridge", "off");
  await client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  for (const { path, body } of BODIES.slice(0, 3)) await post(path, body);
  keep(heard, "GET /health", await bridge.get("/health"));
  await client.acl("SETUSER", "bridge", "on");

  expect(dump.length).toBeGreaterThan(10_000);
  expect(heard.size).toBeGreaterThan(50);
  const logs = bridge.logs.map((line) => JSON.stringify(line)).join("\n");
  const outputs = [["redis", dump], ["log", logs], ...heard] as const;
  const leaks = outputs.flatMap(([where, text]) => {
    const telltales = found(text, [...TELLTALES, ...SECRETS]);
    return telltales.map((telltale) => `${where}: ${telltale} in …${around(text, telltale)}…`);
  });
  expect(leaks).toEqual([]);
}, 60_000);

function around(text: string, telltale: string): string {
  const at = text.toLowerCase().indexOf(telltale.toLowerCase());
  return text.slice(Math.max(0, at - 150), at + telltale.length + 30);
}
