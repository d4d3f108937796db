import { grade, type Probe } from "./probe.ts";

const BARRIER_MS = 5000;

/** Whether a barrier is answered: every delivery rests on it. */
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
          ? grade("barrier", "yes", `answered in ${ms} ms (two of them): receipt by the CAD's process can be proven`)
          : grade(
              "barrier",
              "no",
              `not answered within ${BARRIER_MS} ms: the bridge takes such a CAD for one that hangs`,
            ),
      ],
    };
  },
};
