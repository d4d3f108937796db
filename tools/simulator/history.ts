import { z } from "zod";
import { replayRequest } from "../../shared/events/replay.ts";
import { isRecord } from "./payload.ts";

/** A broadcast to all clients or to one room. */
interface Broadcast {
  eventId: string;
  /** Time of the broadcast, ms since 1970. */
  at: number;
  event: string;
  payload: Record<string, unknown>;
  room: string | undefined;
}

/** The answer to `events:replay`. */
export type ReplayAnswer =
  | { success: false; error: string }
  | {
      events: { event: string; payload: unknown }[];
      more: boolean;
      complete: boolean;
      from?: string;
    };

/** The broadcasts a modern CAD remembers; a database would hold them, so they survive a restart. */
export class History {
  #sent: Broadcast[] = [];
  /** Time of the newest forgotten broadcast, or when the history began. */
  #forgotten: number;

  /** @param born start of the history, ms since 1970 */
  constructor(born: number) {
    this.#forgotten = born;
  }

  /** Adds an id and a time to a payload; a payload that is not an object is neither marked nor remembered. */
  add(event: string, payload: unknown, room: string | undefined, at: number, keep: number): unknown {
    if (!isRecord(payload)) return payload;
    const eventId = typeof payload["eventId"] === "string" ? payload["eventId"] : crypto.randomUUID();
    const marked = { occurredAt: new Date(at).toISOString(), ...payload, eventId };
    this.#sent.push({ eventId, at, event, payload: marked, room });
    this.forget(keep);
    return marked;
  }

  /** Forgets the oldest broadcasts, down to `keep`. */
  forget(keep: number): void {
    const gone = this.#sent.splice(0, Math.max(0, this.#sent.length - keep));
    this.#forgotten = gone.at(-1)?.at ?? this.#forgotten;
  }

  /** @param isIn whether the caller is in that room */
  answer(asked: unknown, isIn: (room: string) => boolean): ReplayAnswer {
    const { data, error } = replayRequest.safeParse(asked);
    if (!data) return { success: false, error: z.prettifyError(error) };
    const since = Date.parse(data.since);
    const after = data.after === undefined ? -1 : this.#sent.findIndex((b) => b.eventId === data.after);
    if (after < 0 && data.after !== undefined) return { success: false, error: "after: no such event any more" };
    const wanted = this.#sent.slice(after + 1).filter((b) => b.at >= since && (!b.room || isIn(b.room)));
    const complete = this.#forgotten < since;
    return {
      events: wanted.slice(0, data.limit).map(({ event, payload }) => ({ event, payload })),
      more: wanted.length > data.limit,
      complete,
      ...(!complete && { from: new Date(this.#forgotten).toISOString() }),
    };
  }
}
