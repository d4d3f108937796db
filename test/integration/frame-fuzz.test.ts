import { expect, onTestFinished, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { startCadClient } from "../support/cad-client.ts";
import { fuzzedFrames } from "../support/frame-fuzz.ts";
import { type Script, startHostileCad } from "../support/hostile-cad.ts";

const MB = 1024 * 1024;
const FRAMES = 10_000;
const FRAMES_PER_CONNECTION = 10;
/** A session that hangs is given up after 6 s, and the next attempt waits up to 5 s, ms. */
const READY_MS = 30_000;
/** Another run: SEED=… in the environment. */
const SEED = Number(process.env["SEED"] ?? 20_261_128);

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
    const alive = () => {
      try {
        return client.last();
      } catch (error) {
        throw new Error(`sent last: ${JSON.stringify(sent).slice(-4000)}`, { cause: error });
      }
    };
    await until("it has begun", () => alive() && cad.connections() > 50, 30_000);
    const before = alive()?.rss ?? 0;
    await until("all were sent", () => alive() && cad.connections() > FRAMES / FRAMES_PER_CONNECTION, 100_000);
    await until("all are ready, with a CAD that behaves", () => alive()?.status.ready === true, READY_MS).catch(
      (error: unknown) => {
        throw new Error(`still not ready: ${alive()?.status.lastError ?? "no error"}`, { cause: error });
      },
    );
    expect((alive()?.rss ?? Infinity) - before).toBeLessThan(64 * MB);
  },
);
