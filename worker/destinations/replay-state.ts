import type { ReplayFound, ReplayStatus } from "../../shared/destinations/replay.ts";

/**
 * The states of a replay, stored in Redis: the next leader continues from there.
 *
 * | state | what is done | leaves on |
 * | --- | --- | --- |
 * | `counting` | reads the journal and counts what would be sent; the live flow continues | `counted`, `refused` |
 * | `starting` | the destination's handler ends what it has in hand, and goes back in the journal | `joined` |
 * | `running` | the handler goes through the journal again, up to where it was (`until`); the live flow follows | `noted` at `until` |
 * | `done` | everything is in the outbox | |
 * | `counted` | of a dry run: the end | |
 * | `refused` | nothing was sent | |
 */
export type ReplayEvent =
  | { type: "counted"; found: ReplayFound }
  | { type: "refused"; refusal: NonNullable<ReplayStatus["refusal"]> }
  /** The handler stood at `until`, and goes back to `position`. */
  | { type: "joined"; until: string; position: string }
  /** Everything up to this entry is in the outbox; `queued`: how many events were put there. */
  | { type: "noted"; position: string; queued: number; over: boolean };

/** The replay after an event. One that does not fit its state changes nothing. @param now ms */
export function nextReplay(replay: ReplayStatus, event: ReplayEvent, now: number): ReplayStatus {
  switch (replay.state) {
    case "counting":
      if (event.type === "refused") return { ...replay, state: "refused", refusal: event.refusal, endedAt: now };
      if (event.type !== "counted") return replay;
      if (replay.request.dryRun) return { ...replay, state: "counted", found: event.found, endedAt: now };
      if (event.found.count === 0) return { ...replay, state: "done", found: event.found, endedAt: now };
      return { ...replay, state: "starting", found: event.found };
    case "starting":
      if (event.type !== "joined") return replay;
      return { ...replay, state: "running", until: event.until, position: event.position, startedAt: now };
    case "running": {
      if (event.type !== "noted") return replay;
      const { position, queued } = event;
      if (!event.over) return { ...replay, position, queued };
      return { ...replay, state: "done", position, queued, endedAt: now };
    }
    default:
      return replay;
  }
}
