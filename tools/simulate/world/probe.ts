import type { Handler } from "../../../worker/events/handlers/handler.ts";
import { theProcess } from "./world.ts";

/** An entry of the journal that the probe has done, in the order in which it did. */
export interface Probed {
  id: string;
  keys: readonly string[];
}

/** How long it takes for an entry, ms at most. */
const TAKES_MS = 150;
const FAILS = 0.03;

/** A handler of the CAD's events beside the built-in ones: it notes what it has done, and where it began. */
export class Probe {
  readonly done: Probed[] = [];
  /** Nothing after this one may be missing from what it has done. */
  began: string | undefined;

  handler(): Handler {
    const { world } = theProcess();
    return {
      name: "probe",
      what: "notes every entry, for the checker",
      placed: (cursor) => void (this.began ??= cursor),
      plan:
        ({ id, keys }) =>
        async () => {
          await new Promise((resolve) => setTimeout(resolve, world.between("probe", 0, TAKES_MS)));
          if (world.roll("probe fails") < FAILS) throw new Error("the probe fails now and then");
          this.done.push({ id, keys });
        },
    };
  }
}
