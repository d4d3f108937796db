import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { BRIDGE_EVENTS, type JournalEntry } from "../../../shared/journal/entry.ts";
import { journalKeys } from "../../../shared/journal/keys.ts";
import { openJournalReader } from "../../../shared/journal/read.ts";
import { compareIds, START } from "../../../shared/redis/stream-id.ts";
import { openCheckpoints } from "../../../shared/journal/checkpoints.ts";
import { destinationKeys } from "../../../shared/redis/keys.ts";
import { createSealer } from "../../../shared/sealing/seal.ts";
import { freePort } from "../../setup/free-port.ts";
import { newSecret, type Receiver, type ReceiverAnswer, startReceiver } from "../../support/receiver.ts";
import type { Delivered, EventEvidence } from "../check/event-checker.ts";
import { DESTINATION_NAMES as NAMES, type DestinationName as Name, routesFileOf, wantedBy } from "./routes.ts";

const LOOK_EVERY_MS = 100;
const PAGE = 1000;

/** Real HTTP servers that record what they answered with 2xx, and fail on demand. */
export interface Services {
  /** The routes file, for the worker. */
  routes: string;
  /** Sets how it answers from now on. */
  answer(name: Name, how: ReceiverAnswer | (() => ReceiverAnswer)): void;
  /** Closes its port for `ms`. */
  away(name: Name, ms: number): Promise<void>;
  delivered(): Delivered[];
  stop(): Promise<void>;
}

export async function startServices(dir: string): Promise<Services> {
  const delivered: Delivered[] = [];
  const all = new Map<Name, { port: number; secret: string; receiver: Receiver; how: () => ReceiverAnswer }>();

  async function listen(name: Name, port: number, secret: string): Promise<Receiver> {
    const receiver = await startReceiver({ secret, port });
    receiver.answer((request) => {
      const how = all.get(name)?.how() ?? 204;
      // An invalid signature gets a 401, so it never counts as delivered.
      if (!request.verified) return 401;
      if (typeof how === "number" && how < 300) delivered.push({ destination: name, id: request.id, time: Date.now() });
      return how;
    });
    return receiver;
  }

  for (const name of NAMES) {
    const [port, secret] = [await freePort(), newSecret()];
    all.set(name, { port, secret, how: () => 204, receiver: await listen(name, port, secret) });
  }
  const of = (name: Name) => {
    const found = all.get(name);
    if (!found) throw new Error(`no service is called ${name}`);
    return found;
  };
  const routes = join(dir, "routes.json");
  writeFileSync(
    routes,
    routesFileOf([...all].map(([id, { receiver, secret }]) => ({ id, url: receiver.url, secret }))),
  );

  return {
    routes,
    answer: (name, how) => void (of(name).how = typeof how === "function" ? how : () => how),
    async away(name, ms) {
      const service = of(name);
      await service.receiver.stop();
      await pause(ms);
      service.receiver = await listen(name, service.port, service.secret);
    },
    delivered: () => delivered,
    async stop() {
      await Promise.all([...all.values()].map(({ receiver }) => receiver.stop()));
    },
  };
}

/** Waits up to `withinMs` until every destination has received the whole journal; returns all that was observed. */
export async function readEvents(
  redisUrl: string,
  services: Services,
  sent: readonly string[],
  withinMs: number,
): Promise<Omit<EventEvidence, "stalls">> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  const deadline = performance.now() + withinMs;
  try {
    for (;;) {
      const left = await leftIn(redis);
      if (left.length === 0 || performance.now() > deadline) return await evidence(redis, services, sent, left);
      await pause(LOOK_EVERY_MS);
    }
  } finally {
    redis.disconnect();
  }
}

const PREFIX = "socket-bridge";
const keys = journalKeys(PREFIX);

/** What has not reached a service yet: behind in the journal, or waiting in an outbox. */
async function leftIn(redis: Redis): Promise<string[]> {
  const { newest } = await openJournalReader(redis, keys, createSealer([])).bounds();
  const record = openCheckpoints(redis, keys, createSealer([]), "a reader", 0, 0);
  const left: string[] = [];
  for (const name of NAMES) {
    const cursor = (await record.cursor(`to:${name}`)) ?? START;
    if (compareIds(cursor, newest) < 0) left.push(`to:${name} is at ${cursor}, the journal at ${newest}`);
    const open = await redis.zcard(destinationKeys(PREFIX, name).open);
    if (open > 0) left.push(`${open} messages for ${name}`);
  }
  return left;
}

async function evidence(
  redis: Redis,
  services: Services,
  sent: readonly string[],
  left: readonly string[],
): Promise<Omit<EventEvidence, "stalls">> {
  const reader = openJournalReader(redis, keys, createSealer([]));
  const journal: JournalEntry[] = [];
  for (let more = true; more;) {
    const page = await reader.page(journal.at(-1)?.id ?? START, PAGE);
    journal.push(...page.entries);
    ({ more } = page);
  }
  const dead = await Promise.all(
    NAMES.map(async (name) => {
      const ids = await redis.zrange(destinationKeys(PREFIX, name).dead, "0", "-1");
      return ids.map((id) => `${name} ${id}`);
    }),
  );
  return {
    journal: journal.map((entry) => ({ id: entry.id, keys: entry.keys, wanted: wantedBy(entry) })),
    received: services.delivered(),
    dead: new Set(dead.flat()),
    left,
    sent,
    kept: journal.flatMap(({ eventId }) => eventId ?? []),
    gaps: journal.filter(({ event }) => event === BRIDGE_EVENTS.gap).length,
  };
}
