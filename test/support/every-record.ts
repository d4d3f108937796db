import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { Redis } from "ioredis";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { type Receiver, startReceiver } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, startBridge } from "./bridge.ts";
import { writeRoutes } from "./destinations.ts";
import { createViews } from "./statements.ts";
import { readFields, type StoredField } from "./stored-fields.ts";

export const PAYLOAD_KEYS = `a:${randomBytes(32).toString("base64")}`;
const KEYED = { PAYLOAD_KEYS };
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** A bridge whose worker has stopped, and all that it left in Redis. */
export interface EveryRecord {
  bridge: Bridge;
  redis: Redis;
  /** Where problems are reported. */
  alerts: Receiver;
  /** The worker's variables: to start another one with. */
  env: Record<string, string>;
  /** What stood in each place before the last traffic: authentic, and old. By `placeOf`. */
  older: Map<string, string>;
  /** The same of whole keys, as DUMP has them. */
  olderKeys: Map<string, Buffer>;
  /** All that the API said then. */
  olderSaid: Set<string>;
  fields: StoredField[];
  /** The key in Redis. */
  full(key: string): string;
}

export const placeOf = ({ key, field, at }: StoredField): string => JSON.stringify([key, field, at]);

/** A running bridge that wrote every kind of record that it writes in everyday traffic. */
export async function writeEveryRecord(atEnd: (end: () => Promise<void> | void) => void): Promise<EveryRecord> {
  const redis = new Redis(inject("redisUrl"));
  atEnd(() => redis.disconnect());
  const alerts = await startReceiver();
  alerts.answer(500);
  const receivers = await Promise.all([startReceiver(), startReceiver(), startReceiver()]);
  for (const receiver of [alerts, ...receivers]) atEnd(() => receiver.stop());
  const [, gone, bad] = receivers;
  gone.answer(410);
  bad.answer(400);
  const destinations = receivers.map(({ url, secret }, i) => ({
    ...{ id: ["good", "gone", "bad"][i], url, secret, phi: true, retry_s: [0.05] },
  }));
  const rules = [
    { to: "good", events: ["unit:*", "incident:*"] },
    { to: "gone", events: ["unit:*"] },
    { to: "bad", events: ["incident:*"], once: ["incidentId"] },
  ];
  const ROUTES_FILE = writeRoutes({ destinations, rules }, atEnd);
  const env = { ...KEYED, ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true", ALERT_URL: alerts.url, ALERT_AFTER_S: "1" };
  const bridge = await startBridge({
    atEnd,
    cad: { character: "modern" },
    functions: KEYED,
    worker: env,
  });
  const full = (key: string) => `{${bridge.prefix}}:${key}`;
  const traffic = async () => {
    for (const { name, examples } of commands) {
      const { body } = await bridge.post(`/${name}`, examples[0].body, {
        "Command-TTL": "600",
        traceparent: TRACEPARENT,
      });
      await bridge.settled(body["command_id"]);
    }
    for (const { name, examples } of events) for (const example of examples) bridge.cad.broadcast(name, example);
    bridge.cad.broadcast("unit:status:updated", { unitId: 7n.toString(), status: { a: 1 } });
    bridge.cad.broadcast("shift:changed", { a: 1 });
    bridge.cad.switches.reject = { next: 1 };
    await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" });
  };
  await traffic();
  const { body } = await bridge.get("/dead-letters");
  const [letter] = body["dead_letters"] as { command_id: string }[];
  await bridge.post(`/dead-letters/${letter?.command_id}/redrive`, "");
  await bridge.post("/destinations/good/pause", "");
  await bridge.get("/audit");
  bridge.cad.switches.replay = "refuses";
  bridge.cad.switches.remembersSessions = false;
  bridge.cad.dropConnections();
  await until(
    "a gap is noted, and a problem",
    async () => {
      const [gaps, problems] = await Promise.all([redis.exists(full("cad:gaps")), redis.exists(full("cad:problems"))]);
      return gaps === 1 && problems === 1;
    },
    20_000,
  );
  const before = await readFields(redis, bridge.prefix);
  const older = new Map(before.map((place) => [placeOf(place), place.value]));
  const olderKeys = new Map<string, Buffer>();
  for (const key of new Set(before.map((place) => place.key))) {
    const dump = await redis.dumpBuffer(full(key));
    if (dump) olderKeys.set(key, dump);
  }
  const views = createViews(bridge, before);
  const paths = [...new Set(before.flatMap(views.of))];
  const olderSaid = new Set((await Promise.all(paths.map(views.look))).flatMap((said) => [...said]));
  await bridge.post("/destinations/good/enable", "");
  await traffic();
  for (const dry of [true, false]) {
    const { body: asked } = await bridge.post("/destinations/good/replay", {
      from: "2020-01-01T00:00:00Z",
      dry_run: dry,
    });
    if (typeof asked["replay_id"] !== "string") throw new Error(`no replay: ${JSON.stringify(asked)}`);
  }
  await until("the replay has joined the live flow", async () => {
    const { body: good } = await bridge.get("/destinations/good");
    return (good["replay"] as { state: string } | null)?.state === "done";
  });
  await until("the bad one has dead letters", async () => (await redis.exists(full("to:bad:dead"))) === 1);
  await until("the audit trail is chained", async () => {
    const [entries, links] = await Promise.all([redis.xlen(full("cad:audit")), redis.xlen(full("cad:audit:links"))]);
    return entries === links;
  });
  await bridge.worker()?.stop();
  const fields = await readFields(redis, bridge.prefix);
  return { bridge, redis, alerts, env, older, olderKeys, olderSaid, fields, full };
}
