import { randomUUID } from "node:crypto";
import { valueAt } from "../../../worker/cad/echo.ts";
import { grade, type Probe } from "./probe.ts";

const BURST = 40;
const ANSWER_MS = 3000;

/** Emits many positions of one unit at once, and checks the order of their echoes. */
export const order: Probe = {
  title: "order under concurrency",
  writes: true,
  async run({ client, unit = randomUUID() }) {
    const from = client.heard.length;
    for (let heading = 0; heading < BURST; heading += 1)
      client.emit("unit:location", {
        unitId: unit,
        location: { type: "Point", coordinates: [0, 0] },
        heading,
        speed: 0,
      });
    const isOurs = ({ event, payload }: { event: string; payload: unknown }) =>
      event === "unit:location:updated" && valueAt(payload, "unitId") === unit;
    const all = () => client.heard.slice(from).filter(isOurs);
    await client.hear((heard) => isOurs(heard) && all().length >= BURST, ANSWER_MS, client.heard.length);
    return { grades: [gradeOf(all().map(({ payload }) => Number(valueAt(payload, "heading"))))] };
  },
};

function gradeOf(headings: readonly number[]) {
  const what = `${BURST} positions of one unit at once`;
  if (headings.length < 2)
    return grade(what, "unknown", "no echoes: whether the CAD keeps their order is not visible from outside");
  const inversions = headings.filter((heading, i) => i > 0 && heading < (headings[i - 1] ?? heading)).length;
  const missing = BURST - headings.length;
  const lost = missing > 0 ? `; ${missing} had no echo` : "";
  if (inversions > 0)
    return grade(
      what,
      "no",
      `${inversions} of ${headings.length} echoes overtook another${lost}: handlers run concurrently. The bridge therefore has one command per key in flight`,
    );
  return grade(what, "partly", `the echoes arrived in order${lost}; one burst does not prove that they always do`);
}
