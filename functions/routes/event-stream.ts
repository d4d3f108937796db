import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { Followed } from "../../shared/journal/pages.ts";
import { toEntryResponse } from "../../shared/journal/to-response.ts";
import type { Log } from "../../shared/util/log.ts";
import { Problem } from "../http/problem.ts";
import { redisFault, whyFailed } from "../../shared/redis/fault.ts";
import { DeadlineExceeded, sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { Authenticate } from "../middleware/auth.ts";
import type { Backend } from "../backend/backend.ts";
import type { StreamLimits } from "../config/stream-env.ts";
import { createSlots, type Slot } from "./stream-slots.ts";
import { chunked, sseEvent, ssePosition } from "../http/sse.ts";

export interface StreamDeps {
  backend: Pick<Backend, "readEvents">;
  authenticate: Authenticate;
  /** Aborts when the host stops. */
  stopping: AbortSignal;
  /** Closes a request's connection at once, discarding unsent data. */
  cutOff: (c: Context) => void;
  streams: StreamLimits;
  log: Log;
}

/** Maximum number of entries per read. */
const PAGE = 200;
/** How long one read waits for the next entry, ms: also how often a stream checks whether it must end. */
const WAIT_MS = 5000;
/** Under load, all streams of a process read at the ticks of this clock, so that they share pages, ms. */
const HEARTBEAT_MS = 25;
/** Longest silence of a stream, on top of the write timeout, ms. */
const STALE_MS = 3 * WAIT_MS;
/** Pause before a stream retries a read that Redis did not answer, ms. */
const RETRY_MS = 500;
/** Reconnect delay for clients, ms. */
const COME_BACK_MS = 1000;

/** Proxies must not buffer it. Closing the connection afterwards lets a stopping host finish without waiting for idle clients. */
const HEADERS = { "X-Accel-Buffering": "no", "Cache-Control": "no-store", Connection: "close" };

type Page = Extract<Followed, { outcome: "page" }>;

/** Whether the stream sends an entry. */
type Wanted = (entry: JournalEntry) => boolean;

type Ending = "left" | "slow" | "stopping" | "token" | "gone" | "unreadable";

/** Why a stream ended, for the log: the client reconnects with its Last-Event-ID and gets the reason then. */
class StreamEnd extends Error {
  override name = "StreamEnd";
  readonly ending: Ending;
  constructor(ending: Ending) {
    super(ending);
    this.ending = ending;
  }
}

/** The first page of a stream. Throws a Problem if the following entries cannot be sent completely. */
function beginning(read: Followed): Page {
  if (read.outcome === "gone") throw gone(read.oldest);
  if (read.outcome === "unreadable")
    throw new Problem("unreadable-payload", `The stream cannot continue: ${read.reason}.`);
  return read;
}

export const gone = (oldest: string | null): Problem =>
  new Problem("gone", "Entries after this one may have been removed, or the journal never contained it.", { oldest });

/** Streams entries for as long as the client reads them. */
export function createEventStreams(deps: StreamDeps) {
  const { backend, streams, log } = deps;
  // The streams of a process send the same entries: each is serialized once.
  const texts = new WeakMap<JournalEntry, string>();
  const slots = createSlots(streams.max, streams.writeMs + STALE_MS, () => performance.now());

  function toText(entry: JournalEntry): string {
    const text = texts.get(entry) ?? sseEvent(entry.id, entry.event, JSON.stringify(toEntryResponse(entry)));
    texts.set(entry, text);
    return text;
  }

  /** Reads the next page; an empty one if Redis is unavailable. */
  async function readOn(position: string, waitMs: number): Promise<Page> {
    try {
      const read = await backend.readEvents(position, PAGE, waitMs);
      if (read.outcome === "page") return read;
      throw new StreamEnd(read.outcome);
    } catch (error) {
      if (redisFault(error) === undefined) throw error;
      await sleep(RETRY_MS, deps.stopping);
      return { outcome: "page", entries: [], position, more: false };
    }
  }

  /**
   * Runs until it throws.
   * @param begin where the stream starts: never the end of its first page, which has not been written yet
   */
  async function follow(
    begin: string,
    first: Page,
    wanted: Wanted,
    write: (text: string) => Promise<void>,
    check: () => Promise<void>,
  ): Promise<never> {
    await write(`retry: ${COME_BACK_MS}\n${ssePosition(begin)}`);
    let lastWrite = performance.now();
    const untilHeartbeat = () => Math.max(0, lastWrite + streams.heartbeatMs - performance.now());
    for (let page = first; ; page = await readOn(page.position, Math.min(WAIT_MS, untilHeartbeat()))) {
      for (const chunk of chunked(page.entries.filter(wanted).map(toText))) {
        await write(chunk);
        lastWrite = performance.now();
      }
      if (untilHeartbeat() === 0) {
        await write(ssePosition(page.position));
        lastWrite = performance.now();
      }
      if (!page.more) await sleep(HEARTBEAT_MS - (performance.now() % HEARTBEAT_MS), deps.stopping);
      await check();
    }
  }

  function answer(c: Context, begin: string, first: Page, wanted: Wanted, slot: Slot): Response {
    const authorization = c.req.header("Authorization");
    const began = performance.now();
    return streamSSE(c, async (stream) => {
      let left = false;
      stream.onAbort(() => void (left = true));
      async function write(text: string): Promise<void> {
        slot.renew();
        const written = withDeadline(stream.write(text), streams.writeMs, "a write to a stream");
        await written.catch((error: unknown) => {
          if (!(error instanceof DeadlineExceeded)) throw error;
          stream.abort();
          deps.cutOff(c);
          throw new StreamEnd("slow");
        });
        if (left) throw new StreamEnd("left");
      }
      async function check(): Promise<void> {
        slot.renew();
        if (left) throw new StreamEnd("left");
        if (deps.stopping.aborted) throw new StreamEnd("stopping");
        await deps.authenticate(authorization).catch(() => {
          throw new StreamEnd("token");
        });
      }
      await follow(begin, first, wanted, write, check).catch((why: unknown) => {
        slot.release();
        const fields = { open: slots.taken(), seconds: Math.round((performance.now() - began) / 1000) };
        if (why instanceof StreamEnd) log.info({ ending: why.ending, ...fields }, "a stream ended");
        else log.error({ reason: whyFailed(why), ...fields }, "unexpected error in a stream");
      });
    });
  }

  /** @param after start after this entry; undefined: with new entries */
  return async function serve(c: Context, after: string | undefined, wanted: Wanted): Promise<Response> {
    const slot = slots.take();
    if (!slot) throw new Problem("too-many-streams", `This process serves ${streams.max} streams at once.`);
    try {
      const first = beginning(await backend.readEvents(after, PAGE, 0));
      const response = answer(c, after ?? first.position, first, wanted, slot);
      for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
      return response;
    } catch (error) {
      slot.release();
      throw error;
    }
  };
}
