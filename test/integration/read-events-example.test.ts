import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { startBridge, tokens } from "../support/bridge.ts";
import { openBrowser } from "../support/chromium.ts";
import { startCuttingProxy } from "../support/cutting-proxy.ts";
import { ownJournal } from "../support/own-journal.ts";

const DOCS = new URL("../../docs/events-and-webhooks.md", import.meta.url);
const example = /```js\n(.*?async function readEvents.*?)```/s.exec(readFileSync(DOCS, "utf8"))?.[1] ?? "";
const COUNT = 40;
const CUTS = [0, 1, 40, 90, 140, 300, 500, 700, 900, 1201];

/** Runs the example in a page until so many entries came. */
const script = (url: string) => `(async () => {
  ${example}
  const leaving = new AbortController();
  const ids = [];
  const gaps = [];
  setTimeout(() => leaving.abort(), 60000);
  await readEvents(${JSON.stringify(url)}, {
    token: async () => ${JSON.stringify(tokens.dispatcher)},
    onEntry: (entry) => {
      ids.push(entry.id);
      if (ids.length >= ${COUNT}) leaving.abort();
    },
    onGap: (oldest) => gaps.push(oldest),
    signal: leaving.signal,
  });
  return { ids, gaps };
})()`;

test(
  "the example for web pages reads every entry once, from another origin and over cuts",
  { timeout: 120_000 },
  async ({ skip }) => {
    const browser = await openBrowser(skip);
    const upstream = { url: "" };
    const proxy = await startCuttingProxy(upstream, tokens.dispatcher);
    const origin = `http://127.0.0.1:${proxy.port}`;
    const bridge = await startBridge({ worker: false, functions: { CORS_ORIGINS: origin } });
    upstream.url = bridge.url;
    const journal = await ownJournal(bridge.prefix);
    const [before, ...entries] = await journal.write(
      ...Array.from({ length: COUNT + 1 }, (_, n) => ({ payload: { n, text: "Straße 🚑" } })),
    );
    const page = await browser.newPage();
    await page.goto(`${origin}/page/health`);
    const expected = { ids: entries.map(({ id }) => id), gaps: [] };
    expect(await page.evaluate(script(`${bridge.url}/events?last_event_id=${before?.id}`))).toEqual(expected);

    proxy.cut("cut", CUTS);
    expect(await page.evaluate(script(`${origin}/cut/events?last_event_id=${before?.id}`))).toEqual(expected);
    expect([...proxy.cuts()]).toEqual(CUTS);

    await journal.trimTo(String(entries[0]?.id));
    await journal.write({ payload: { n: "the last" } });
    const gone = await page.evaluate(script(`${bridge.url}/events?last_event_id=${before?.id}`));
    expect(gone).toMatchObject({ gaps: [entries[0]?.id] });
  },
);
