import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../simulator/random.ts";
import { ask } from "../../support/api.ts";
import type { Rig } from "../rig/rig.ts";

/** What an attack was answered with: that nothing was done proves nothing. */
export interface Attack {
  /** Answers by HTTP status. */
  readonly answers: ReadonlyMap<number, number>;
  /** Hostile frames that were put between the CAD and the workers. */
  readonly frames: number;
  stop(): Promise<void>;
}

/** So many requests are always on their way. */
const FLOODERS = 6;
const ANSWER_WITHIN_MS = 3000;
/** Hostile frames come in so short a time after each other, ms. */
const FRAMES_APART_MS = 150;

const oneOf = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T;

/** Bodies that no schema takes, and some that do: of units and incidents that nobody else sends to. */
const BODIES: readonly ((n: number) => [path: string, body: unknown])[] = [
  // The CAD knows none of these: it echoes nothing.
  (n) => ["incidents/timestamp", { incident_id: `X-${n}`, field: "enroute_at", timestamp: "2026-01-31T22:05:00Z" }],
  (n) => [
    "incidents/timestamp",
    { incident_id: "X-0", field: "enroute_at", timestamp: new Date(n * 1000).toISOString() },
  ],
  (n) => ["units/status", { unit_id: `X${n % 50}`, status: "enroute" }],
  () => ["units/location", { unit_id: "X0", latitude: Number.MAX_VALUE, longitude: "\u0000" }],
  () => ["units/status", { unit_id: "X0", status: "x".repeat(100_000) }],
  () => ["units/status", JSON.parse(`{"unit_id":"X0","__proto__":{"role":"admin"},"status":"enroute"}`)],
  () => ["units/status", Array.from({ length: 50 }).reduce<unknown>((inner) => [inner], [])],
  () => ["dead-letters/none/redrive", {}],
];
const READS = [
  "events/history?limit=500&event=*a*b*c*",
  "units?limit=500",
  "commands/none",
  "audit?limit=500",
  "events/1-1",
];

/** Text frames of Engine.IO and Socket.IO that a CAD should not send, and events that fit no schema. */
const FRAMES = [
  "0notjson",
  "0null",
  '44{"message":{"toString":1,"valueOf":1}}',
  '42["unit:status:updated",{"unitId":{"toString":1},"status":[]}]',
  '42["incident:new",null]',
  '42["__proto__",{"toString":1}]',
  "4",
  "45-[]",
  '451-["x",{"_placeholder":true,"num":9}]',
  `42["deep",${"[".repeat(1000)}${"]".repeat(1000)}]`,
  `42["long","${"x".repeat(60_000)}"]`,
];

/** As a server sends it: a whole text message, unmasked (RFC 6455, section 5.2). */
function webSocketFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 2 : 4);
  head[0] = 0x81;
  head[1] = short ? payload.length : 126;
  if (!short) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** A crew that floods and poisons with its token, somebody without one, and somebody on the line between the CAD and the workers. */
export function startAttacker(rig: Rig, random: Random): Attack {
  const answers = new Map<number, number>();
  const stopping = new AbortController();
  const { signal } = stopping;
  let frames = 0;
  let count = 0;

  async function flood(): Promise<void> {
    while (!signal.aborted) {
      const url = oneOf(rig.urls, random);
      const token = random() < 0.9 ? rig.crewToken : "x.y.z";
      const [path, body] = oneOf(BODIES, random)((count += 1));
      const asked =
        random() < 0.8
          ? ask("POST", `${url}/${path}`, { token, body, withinMs: ANSWER_WITHIN_MS })
          : ask("GET", `${url}/${oneOf(READS, random)}`, { token, withinMs: ANSWER_WITHIN_MS });
      await asked.then(
        ({ status }) => answers.set(status, (answers.get(status) ?? 0) + 1),
        // What it asks is struck as everything else is.
        () => pause(100),
      );
    }
  }

  async function poison(): Promise<void> {
    while (!signal.aborted) {
      for (const { toCad } of rig.workers) toCad.inject(webSocketFrame(oneOf(FRAMES, random)));
      frames += 1;
      await pause(FRAMES_APART_MS * 2 * random(), undefined, { signal }).catch(() => undefined);
    }
  }
  const attacking = Promise.all([poison(), ...Array.from({ length: FLOODERS }, flood)]);

  return {
    answers,
    get frames() {
      return frames;
    },
    async stop() {
      stopping.abort();
      await attacking;
    },
  };
}
