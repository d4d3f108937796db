import { expect, onTestFinished, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { startCadClient } from "../support/cad-client.ts";
import { fuzzedFrames } from "../support/frame-fuzz.ts";
import { type Frame, type HostileCad, type Script, startHostileCad } from "../support/hostile-cad.ts";
import { shrink } from "../support/shrink.ts";

const MB = 1024 * 1024;
/** FUZZ_RUNS=100000 for as many. */
const FRAMES = Number(process.env["FUZZ_RUNS"] ?? 10_000);
const FRAMES_PER_CONNECTION = 10;
/** A session that hangs is given up after 6 s, and the next attempt waits up to 5 s, ms. */
const READY_MS = 30_000;
/** Another run: SEED=… in the environment. */
const SEED = Number(process.env["SEED"] ?? 20_261_128);

const PARTS = ["handshake", "connect", "ready"] as const;
type Sent = readonly [part: (typeof PARTS)[number], frame: Frame];

/** Whether these frames, in one connection, end a process that is connected to the CAD that sends them. */
async function endsProcess(sent: readonly Sent[]): Promise<boolean> {
  const script: Script = { hangUpMs: 50 };
  for (const [part, frame] of sent) script[part] = [...(script[part] ?? []), frame];
  const cad = await startHostileCad((connection) => (connection <= 2 ? script : {}));
  try {
    const client = startCadClient(cad.url, { atOnce: true });
    return await until("it has ended or is ready", () => {
      try {
        return cad.connections() > 2 && client.last()?.status.ready === true ? "ready" : undefined;
      } catch {
        return "ended";
      }
    }).then(
      (how) => how === "ended",
      () => false,
    );
  } finally {
    await cad.stop();
  }
}

/** The frames of the last connections that end the process by themselves, as few as possible. */
async function shrunk(sent: readonly Script[], cad: HostileCad): Promise<string> {
  await cad.stop();
  for (const script of sent.toReversed()) {
    const frames = PARTS.flatMap((part) => (script[part] ?? []).map((frame): Sent => [part, frame]));
    if (frames.length > 0 && (await endsProcess(frames))) return JSON.stringify(await shrink(frames, endsProcess));
  }
  return `not by one of the last connections alone: ${JSON.stringify(sent).slice(-4000)}`;
}

test(
  `${FRAMES} hostile frames (seed ${SEED}) neither end the process nor stay in its memory`,
  { timeout: 200_000 },
  async () => {
    const fuzz = fuzzedFrames(SEED);
    const sent: Script[] = [];
    const cad = await startHostileCad((connection) => {
      // What was sent last is what ended the process, if something does.
      sent.splice(0, sent.length - 3);
      const script = connection <= FRAMES / FRAMES_PER_CONNECTION ? fuzz.script(FRAMES_PER_CONNECTION) : {};
      sent.push(script);
      return script;
    });
    onTestFinished(() => cad.stop());
    const client = startCadClient(cad.url, { connections: 8, atOnce: true });
    let ended: unknown;
    const alive = () => {
      try {
        return client.last();
      } catch (error) {
        ended = error;
        throw error;
      }
    };
    async function run(): Promise<void> {
      await until("it has begun", () => alive() && cad.connections() > 50, 30_000);
      const before = alive()?.rss ?? 0;
      await until("all were sent", () => alive() && cad.connections() > FRAMES / FRAMES_PER_CONNECTION, 100_000);
      await until("all are ready, with a CAD that behaves", () => alive()?.status.ready === true, READY_MS).catch(
        (error: unknown) => {
          throw new Error(`still not ready: ${alive()?.status.lastError ?? "no error"}`, { cause: error });
        },
      );
      expect((alive()?.rss ?? Infinity) - before).toBeLessThan(64 * MB);
    }
    await run().catch(async (error: unknown) => {
      if (ended === undefined) throw error;
      throw new Error(`ended by ${await shrunk(sent, cad)}`, { cause: ended });
    });
  },
);
