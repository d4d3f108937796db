import { sleep } from "../../shared/util/sleep.ts";
import type { Log } from "../../shared/util/log.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import { type Look, shareOf } from "./share.ts";

/** How often a worker looks at the leases, ms: as often as a standby of a single CAD asks for its lease. */
const LOOK_MS = 500;
/** A CAD that no worker took after its release is kept for this time, ms. */
const KEEP_MS = 60_000;

export interface TurnsOptions {
  cads: readonly string[];
  me: string;
  /** Who is there and who owns what; rejects if Redis cannot say. */
  look(): Promise<Pick<Look, "workers" | "owners">>;
  handOver(cad: string): void;
  /** A clock that does not jump, ms. */
  now(): number;
  signal: AbortSignal;
  log: Log;
}

/** Which CADs this worker asks for and hands over, and when. See share.ts. */
export interface Turns {
  /** Resolves when it is to ask for the lease of this CAD, or the signal aborts. */
  turn(cad: string, signal: AbortSignal): Promise<void>;
  /** Something may have changed: looks at once. */
  lookNow(): void;
  /** Until the signal aborts. Never rejects. */
  run(): Promise<void>;
}

export function createTurns(options: TurnsOptions): Turns {
  const { cads, me, now, signal, log } = options;
  /** Those that stand by until it is their turn. A CAD that is not among them is led, or asked for. */
  const waiting = new Map<string, () => void>();
  const started = new Set<string>();
  const freeSince = new Map<string, number>();
  const asked = new Map<string, number>();
  const given = new Map<string, number>();
  const keepUntil = new Map<string, number>();
  let wake = new AbortController();

  function toLook({ workers, owners }: Pick<Look, "workers" | "owners">): Look {
    const at = now();
    for (const cad of cads) {
      if (owners.has(cad)) freeSince.delete(cad);
      else if (!freeSince.has(cad)) freeSince.set(cad, at);
    }
    const mine = new Set(cads.filter((cad) => started.has(cad) && !waiting.has(cad)));
    const freeMs = new Map([...freeSince].map(([cad, since]) => [cad, at - since]));
    const keep = new Set(cads.filter((cad) => (keepUntil.get(cad) ?? 0) > at));
    // The one that was asked for longest ago first: a store that refuses this worker keeps it from no other one.
    const byAsked = cads.toSorted((a, b) => (asked.get(a) ?? 0) - (asked.get(b) ?? 0));
    return { cads: byAsked, workers, me, owners, mine, freeMs, keep };
  }

  function act(look: Look): void {
    const { take, give } = shareOf(look);
    for (const cad of take) {
      const at = now();
      asked.set(cad, at);
      if (at - (given.get(cad) ?? -Infinity) < KEEP_MS) keepUntil.set(cad, at + KEEP_MS);
      waiting.get(cad)?.();
    }
    for (const cad of give) {
      given.set(cad, now());
      log.info({ cad, workers: look.workers.length }, "handing a CAD over to a worker that has fewer");
      options.handOver(cad);
    }
  }

  return {
    turn(cad, stopped) {
      started.add(cad);
      return new Promise((resolve) => {
        const done = () => {
          waiting.delete(cad);
          stopped.removeEventListener("abort", done);
          resolve();
        };
        if (stopped.aborted) return resolve();
        waiting.set(cad, done);
        stopped.addEventListener("abort", done, { once: true });
      });
    },
    lookNow: () => wake.abort(),
    async run() {
      let logged = false;
      while (!signal.aborted) {
        wake = new AbortController();
        try {
          act(toLook(await options.look()));
          logged = false;
        } catch (error) {
          // The leases that there are stand, or lapse: nothing is shared anew meanwhile.
          if (!logged)
            log.warn({ reason: whyFailed(error) }, "the CADs cannot be shared: Redis does not say who owns them");
          logged = true;
        }
        await sleep(LOOK_MS, AbortSignal.any([signal, wake.signal]));
      }
    },
  };
}
