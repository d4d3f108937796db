import type { Redis } from "ioredis";
import { openIfAuthentic, storeClear } from "../../shared/sealing/clear.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Log } from "../../shared/util/log.ts";
import { parseRoom, type Room } from "../../shared/vocabulary/ordering-key.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { whyFailed } from "../../shared/redis/fault.ts";

/** How many rooms the bridge is in at most; beyond, the one joined the longest ago is not joined again. */
const MAX_ROOMS = 10_000;

/**
 * The rooms that the bridge is to be in. The CAD forgets them at every disconnect and the next owner must know them
 * too, so they stand in Redis.
 */
export interface RoomStore {
  all(): Promise<Room[]>;
  /** Notes a join or a leave that goes out. A failure to write it is logged: it costs echoes, not commands. */
  note(action: "join" | "leave", room: Room): void;
}

/** @param onForged called for a room that the bridge did not note: it is not joined */
export function openRoomStore(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  onForged: () => void,
  log: Log,
): RoomStore {
  /** How each room stands there: with another key, or from before there were keys. */
  const stored = new Map<Room, string>();
  const failed = (error: Error) =>
    log.warn({ reason: whyFailed(error) }, "a room could not be saved for the next connection");
  return {
    async all() {
      stored.clear();
      for (const text of await redis.zrange(keys.rooms, "0", "-1")) {
        const room = openIfAuthentic(sealer, "room", keys.rooms, text, onForged);
        if (room !== undefined) stored.set(room as Room, text);
      }
      // From before there were keys: from now on with a MAC.
      if (sealer.keyed) for (const [room, text] of stored) if (text === room) note("join", room);
      return [...stored.keys()];
    },
    note,
  };

  function note(action: "join" | "leave", room: Room): void {
    const text = storeClear(sealer, "room", keys.rooms, room);
    const write = redis.multi().zrem(keys.rooms, stored.get(room) ?? text, text);
    stored.delete(room);
    if (action === "join") {
      stored.set(room, text);
      write.zadd(keys.rooms, Date.now(), text).zremrangebyrank(keys.rooms, 0, -MAX_ROOMS - 1);
    }
    void write.exec().catch(failed);
  }
}

/** The room that an emit joins or leaves, if it does. */
export function roomChange(event: string, payload: unknown): { action: "join" | "leave"; room: Room } | undefined {
  const [, action, kind] = /^(join|leave):(unit|incident)$/.exec(event) ?? [];
  if (!action || !kind || typeof payload !== "string") return undefined;
  return { action: action as "join" | "leave", room: `${kind}:${payload}` as Room };
}

/** The emit that joins a room. */
export function joinOf(room: Room): { event: string; payload: string } {
  const { kind, id } = parseRoom(room);
  return { event: `join:${kind}`, payload: id };
}
