import { expect, onTestFinished, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { startCadClient } from "../support/cad-client.ts";
import { type Script, startHostileCad } from "../support/hostile-cad.ts";

const MB = 1024 * 1024;
const handshake = (over: Record<string, unknown>) => [
  `0${JSON.stringify({ sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6, ...over })}`,
];

async function startPair(script: (connection: number) => Script) {
  const cad = await startHostileCad(script);
  onTestFinished(() => cad.stop());
  return { cad, client: startCadClient(cad.url) };
}

/** What a CAD sends that no client should be ended by, and the reason that is reported. */
test.each<[what: string, script: Script, reason: RegExp]>([
  ["a handshake that is no JSON", { handshake: ["0notjson"] }, /unreadable frame/],
  ["a handshake that is null", { handshake: ["0null"] }, /unreadable frame/],
  ["a handshake with no upgrades", { handshake: handshake({ upgrades: null }) }, /unreadable frame/],
  ["a handshake without a session id", { handshake: handshake({ sid: { toString: 1 } }) }, /unreadable frame/],
  ["a ping interval that is no number", { handshake: handshake({ pingInterval: "x" }) }, /unreadable frame/],
  ["a second handshake", { ready: handshake({}) }, /unreadable frame/],
  [
    "a refusal whose message cannot become a text",
    { connect: ['44{"message":{"toString":1,"valueOf":1}}'] },
    /refused/,
  ],
  ["a refusal with nothing in it", { connect: ["44"] }, /refused/],
  [
    "a refusal that is a text, as python-socketio sends it",
    { connect: ['44"Unable to connect"'] },
    /Unable to connect/,
  ],
  ["a CONNECT without a session id", { connect: ["40"] }, /v2.x/],
  ["an event without data", { ready: ["42"] }, /unreadable frame/],
  ["an unknown type", { ready: ["9x"] }, /unreadable frame/],
  ["a frame that is too large", { ready: [Buffer.alloc(5 * MB)] }, /larger than 4 MiB/],
])("%s ends the session with a reason, not the process", async (_what, hostile, reason) => {
  const { client } = await startPair(() => hostile);
  await until(
    "the session has ended with its reason",
    () => reason.test(client.last()?.status.lastError ?? ""),
    15_000,
  ).catch((error: unknown) => {
    throw new Error(`last error: ${client.last()?.status.lastError ?? "none"}`, { cause: error });
  });
});

test.each([
  ["an unreadable frame", "0null"],
  ["a refusal on an open connection", '44{"message":"no"}'],
  ["a DISCONNECT", "41"],
  ["a second CONNECT", '40{"sid":"other"}'],
])("after %s the bridge connects again", async (_what, frame) => {
  const { cad, client } = await startPair((connection) => (connection < 3 ? { ready: [frame], hangUpMs: 50 } : {}));
  await until("it was sent twice", () => cad.connections() >= 3, 15_000);
  await until("it is ready", () => client.last()?.status.ready === true, 15_000);
});

test("a CAD that ends every session as soon as it is ready is connected to ever more rarely", async () => {
  const { cad, client } = await startPair(() => ({ ready: ["0null"] }));
  await until("it has connected a few times", () => cad.connections() >= 5, 15_000);
  const [before, at] = [cad.connections(), performance.now()];
  await until("it connected again", () => cad.connections() > before, 10_000);
  expect(performance.now() - at).toBeGreaterThan(700);
  expect(client.last()?.status.ready).toBe(false);
});

test("events sent before CONNECT is answered do not pile up from one connection to the next", async () => {
  const flood = Array.from({ length: 200 }, () => `42["flood","${"x".repeat(100_000)}"]`);
  const { cad, client } = await startPair(() => ({ connect: [...flood, "44"] }));
  await until("the first one is over", () => cad.connections() >= 2 && client.last() !== undefined, 15_000);
  const before = client.last()?.held ?? 0;
  await until("some more are over", () => cad.connections() >= 6, 25_000);
  // A flood is 20 MB: five that were kept would be 100.
  await until("no more is held than one flood", () => (client.last()?.held ?? Infinity) < before + 48 * MB, 5000);
}, 60_000);
