import { grade, type Probe } from "./probe.ts";

const BARRIER_MS = 5000;

/** Whether the CAD answers a barrier, which every delivery relies on. */
export const barrier: Probe = {
  title: "barrier",
  writes: false,
  async run({ client }) {
    const begun = performance.now();
    const answered = await client.barrier(BARRIER_MS);
    const ms = Math.round(performance.now() - begun);
    return {
      grades: [
        answered
          ? grade("barrier", "yes", `answered in ${ms} ms (two of them): this proves receipt by the CAD's process`)
          : grade("barrier", "no", `not answered within ${BARRIER_MS} ms: the bridge treats such a CAD as hanging`),
      ],
    };
  },
};
