import { join } from "node:path";
import type { CharacterName } from "../../simulator/characters.ts";
import type { Arrivals, Broadcast, CadQuestions } from "./cad.ts";
import { type Helper, startHelper } from "../load/helper.ts";
import { CAD_TOKEN, helperScript, type Rig } from "./rig.ts";

/** The CAD of one part of the bench. */
export interface BenchCad {
  pid: number;
  url: string;
  arrivals(): Promise<Arrivals>;
  count(): Promise<number>;
  forget(): Promise<void>;
  broadcast(what: Broadcast): Promise<void>;
  stop(): Promise<void>;
}

const ASK_WITHIN_MS = 20_000;
const BROADCAST_WITHIN_MS = 60_000;

/** @param port 0 picks a free one */
export async function startBenchCad(rig: Rig, character: CharacterName, port = 0): Promise<BenchCad> {
  const helper: Helper<CadQuestions> = await startHelper(helperScript("rig/cad.ts"), join(rig.dir, "cad.log"), {
    BENCH_CAD_TOKEN: CAD_TOKEN,
    BENCH_CAD_CHARACTER: character,
    BENCH_CAD_PORT: String(port),
  });
  return {
    pid: helper.pid,
    url: await helper.ask("url", null, ASK_WITHIN_MS),
    arrivals: () => helper.ask("arrivals", null, ASK_WITHIN_MS),
    count: () => helper.ask("count", null, ASK_WITHIN_MS),
    forget: async () => void (await helper.ask("forget", null, ASK_WITHIN_MS)),
    broadcast: async (what) => void (await helper.ask("broadcast", what, BROADCAST_WITHIN_MS)),
    stop: helper.stop,
  };
}
