import { EventSource } from "eventsource";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { until } from "../../tools/support/until.ts";
import { startBridge, tokens } from "../support/bridge.ts";
import { openBrowser } from "../support/chromium.ts";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.ts";
import { ownJournal } from "../support/own-journal.ts";
import { readPlainly } from "../support/plain-reader.ts";

// A client may lose its connection after any byte. Each session resumes one stream some ten times, each time cut after another
// number of bytes; together they cut it after every byte of its beginning and of an entry or two.

const NAME = "unit:status:updated";
const SESSIONS = 90;
const ENTRIES = 60;
/** Of how many entries every byte is cut after: at the edge a connection costs five times as much. */
const CUT_ENTRIES = inject("host") === "node" ? 2 : 1;
const WITHIN_MS = 120_000;

interface Rig {
  proxy: CuttingProxy;
  entries: JournalEntry[];
  /** Where each session reads, without scheme and host, and what is to be cut in it. */
  sessions: { name: string; path: string; cuts: number[] }[];
  /** How many bytes are cut after. */
  bytes: number;
}

async function prepare(): Promise<Rig> {
  const bridge = await startBridge({ worker: false, functions: { MAX_STREAMS: "100000" } });
  const journal = await ownJournal(bridge.prefix);
  const [before, ...entries] = await journal.write(
    ...Array.from({ length: ENTRIES + 1 }, (_, n) => ({ event: NAME, payload: { n } })),
  );
  const proxy = await startCuttingProxy(bridge, tokens.dispatcher);
  const path = `events?last_event_id=${before?.id}`;
  const bytes = await lengthOfBeginning(`http://127.0.0.1:${proxy.port}/whole/${path}`);
  const sessions = Array.from({ length: SESSIONS }, (_, i) => {
    const cuts = Array.from({ length: bytes }, (_byte, n) => n).filter((n) => n % SESSIONS === i);
    return { name: `s${i}`, path: `/s${i}/${path}`, cuts };
  });
  for (const { name, cuts } of sessions) proxy.cut(name, cuts);
  return { proxy, entries, sessions, bytes };
}

/** How many bytes a resumed stream has up to the end of the last entry that is cut. */
async function lengthOfBeginning(url: string): Promise<number> {
  const leaving = new AbortController();
  const { body } = await fetch(url, { signal: leaving.signal });
  let text = "";
  let blocks: string[] = [];
  for await (const bytes of body ?? []) {
    text += new TextDecoder().decode(bytes);
    // The first block is the position.
    blocks = text.split("\n\n").slice(0, 1 + CUT_ENTRIES);
    if (text.split("\n\n").length > 1 + CUT_ENTRIES) break;
  }
  leaving.abort();
  return blocks.join("\n\n").length + 2;
}

/** Every session got every entry once, in order, and the stream was cut after every byte. */
function expectWhole({ proxy, entries, sessions, bytes }: Rig, got: ReadonlyMap<string, string[]>): void {
  const all = entries.map((entry) => entry.id);
  for (const { name } of sessions) expect(got.get(name), name).toEqual(all);
  expect(bytes).toBeGreaterThan(300);
  expect([...proxy.cuts()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: bytes }, (_, n) => n));
}

describe("a resumed stream that is cut after each of its bytes shows every entry exactly once", () => {
  test("to a plain reader", { timeout: WITHIN_MS }, async () => {
    const rig = await prepare();
    const got = new Map<string, string[]>();
    // Some at a time: the machine that runs the tests is small.
    const left = [...rig.sessions];
    const read = async () => {
      for (let one = left.shift(); one; one = left.shift()) {
        const ids: string[] = [];
        got.set(one.name, ids);
        await readPlainly(
          `http://127.0.0.1:${rig.proxy.port}${one.path}`,
          ({ event, data, id }) => {
            if (event !== NAME) return;
            expect((JSON.parse(data) as { id: string }).id).toBe(id);
            ids.push(id);
          },
          () => ids.length >= ENTRIES,
        );
      }
    };
    await Promise.all([read(), read(), read(), read()]);
    expectWhole(rig, got);
  });

  test.runIf(inject("host") === "node")("to the npm package eventsource", { timeout: WITHIN_MS }, async () => {
    const rig = await prepare();
    const got = new Map<string, string[]>();
    for (const { name, path } of rig.sessions) {
      const ids: string[] = [];
      got.set(name, ids);
      const source = new EventSource(`http://127.0.0.1:${rig.proxy.port}${path}`);
      onTestFinished(() => source.close());
      source.addEventListener(NAME, ({ data }) => {
        ids.push((JSON.parse(String(data)) as { id: string }).id);
        if (ids.length >= ENTRIES) source.close();
      });
    }
    await until("all came", () => [...got.values()].every((ids) => ids.length >= ENTRIES), WITHIN_MS);
    expectWhole(rig, got);
  });

  test.runIf(inject("host") === "node")("to a browser's EventSource", { timeout: WITHIN_MS }, async ({ skip }) => {
    const browser = await openBrowser(skip);
    const rig = await prepare();
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${rig.proxy.port}/page/health`);
    // A browser opens six connections to one host at a time; every address of 127.0.0.0/8 is this machine.
    const urls = rig.sessions.map(({ name, path }, i) => ({
      name,
      url: `http://127.0.0.${2 + i}:${rig.proxy.port}${path}`,
    }));
    const got = await page.evaluate(readInBrowser, { urls, event: NAME, count: ENTRIES });
    expectWhole(rig, new Map(Object.entries(got)));
  });
});

/** Runs in the page. */
async function readInBrowser(given: {
  urls: { name: string; url: string }[];
  event: string;
  count: number;
}): Promise<Record<string, string[]>> {
  const got: Record<string, string[]> = {};
  const reading = given.urls.map(
    ({ name, url }) =>
      new Promise<void>((resolve) => {
        const ids: string[] = (got[name] = []);
        const source = new globalThis.EventSource(url);
        source.addEventListener(given.event, (message) => {
          const { data, lastEventId } = message as MessageEvent & { lastEventId: string };
          const { id } = JSON.parse(String(data)) as { id: string };
          ids.push(id === lastEventId ? id : `${id} came as ${lastEventId}`);
          if (ids.length < given.count) return;
          source.close();
          resolve();
        });
      }),
  );
  await Promise.race([Promise.all(reading), new Promise((resolve) => setTimeout(resolve, 60_000))]);
  return got;
}
