import { setTimeout as sleep } from "node:timers/promises";
import { isFinal, type State } from "../../shared/outbox/states.ts";
import { receipt } from "../../shared/commands/receipt.ts";
import { ask } from "../support/api.ts";

/** The part of a receipt that replay prints. */
export interface Settled {
  state: State;
  reason: string;
  /** From acceptance to the final state, by the clock of Redis; undefined while it is not final. */
  settledAfterMs: number | undefined;
}

export interface CollectOptions {
  /** Base URL of the API. */
  url: string;
  token: string;
  signal: AbortSignal;
  /** Called for each command that becomes final. */
  onFinal: (id: string, settled: Settled) => void;
}

const AT_ONCE = 32;
/** Receipts are first read after this time: most are final by then, and reading them does not slow down the sending. */
const YOUNGEST_MS = 10_000;
const ASK_AGAIN_MS = 250;
/** After this long without a command becoming final, open ones are reported as they are. */
const STANDSTILL_MS = 60_000;

/** Follows commands until each is final. `add` them as they are accepted; `finish` when no more will follow. */
export class ReceiptCollector {
  readonly #options: CollectOptions;
  readonly #open: { id: string; since: number }[] = [];
  readonly #work: Promise<void>[];
  #finished = false;
  #progressAt = performance.now();

  constructor(options: CollectOptions) {
    this.#options = options;
    this.#work = Array.from({ length: AT_ONCE }, () => this.#follow());
  }

  add(id: string): void {
    this.#open.push({ id, since: performance.now() });
  }

  /** Resolves when all are final, progress stops, or the signal aborts; the rest is reported as open. */
  async finish(): Promise<void> {
    this.#finished = true;
    this.#progressAt = performance.now();
    await Promise.all(this.#work);
  }

  async #follow(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      const first = this.#open[0];
      const old = first !== undefined && (this.#finished || performance.now() - first.since > YOUNGEST_MS);
      const standstill = this.#finished && performance.now() - this.#progressAt > STANDSTILL_MS;
      if ((first === undefined && this.#finished) || standstill) return;
      if (!old) {
        await pause(signal);
        continue;
      }
      this.#open.shift();
      const read = await readReceipt(this.#options, first.id);
      if (read !== undefined && isFinal(read.state)) {
        this.#progressAt = performance.now();
        this.#options.onFinal(first.id, read);
        continue;
      }
      // To the end of the queue: the others are older now.
      this.#open.push({ id: first.id, since: performance.now() - YOUNGEST_MS });
      await pause(signal);
    }
  }
}

const pause = (signal: AbortSignal) => sleep(ASK_AGAIN_MS, undefined, { signal }).catch(() => undefined);

/** undefined if the bridge does not answer, or not with a receipt. */
async function readReceipt({ url, token, signal }: CollectOptions, id: string): Promise<Settled | undefined> {
  const answer = await ask("GET", `${url}/commands/${encodeURIComponent(id)}`, { token, signal }).catch(
    () => undefined,
  );
  const { data } = receipt.safeParse(answer?.body);
  if (data === undefined) return undefined;
  const settledAfterMs =
    data.settled_at === null ? undefined : (microseconds(data.settled_at) - microseconds(data.accepted_at)) / 1000;
  return { state: data.status, reason: data.reason ?? "", settledAfterMs };
}

/** The microseconds of 2026-01-31T22:05:00.123456Z, since Date stops at milliseconds. */
function microseconds(iso: string): number {
  const fraction = /\.(\d+)/.exec(iso)?.[1] ?? "0";
  return Date.parse(iso.replace(/\.\d+/, "")) * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
