import { expect, test } from "vitest";
import { environmentLines } from "../../tools/conform/environment-lines.ts";
import type { EventGrade } from "../../tools/conform/probes/probe.ts";

const graded = (event: string, echoes: "yes" | "no"): EventGrade => ({
  ...{ event, variant: "", acks: "no", echoes, keepsId: "unknown", unknownId: "silent", likely: "unknown", proves: "" },
  answerMs: echoes === "yes" ? 5 : null,
});
const WRITES = ["unit:location", "unit:status", "incident:status", "incident:timestamp"];
const RELAYS = ["incident:created", "assignment:sent"];
const all = (writes: "yes" | "no", relays: "yes" | "no") => [
  ...WRITES.map((event) => graded(event, writes)),
  ...RELAYS.map((event) => graded(event, relays)),
];

test.each([
  ["everything is echoed", all("yes", "yes"), true, /^CAD_CONFIRM=auto$/],
  ["nothing is", all("no", "no"), true, /^CAD_CONFIRM=auto,unit:location=barrier,.*assignment:sent=barrier$/],
  [
    "one write is not",
    [...all("yes", "yes").slice(1), graded("unit:location", "no")],
    true,
    /=auto,unit:location=barrier$/,
  ],
  ["relays are and no write is, as in an outage", all("no", "yes"), true, /^# CAD_CONFIRM: .*database is down/],
  ["no write is, about ids that nobody named", all("no", "yes"), false, /^CAD_CONFIRM=auto$/],
])("where %s, the line says so", (_, events, named, line) => {
  expect(environmentLines([], events, named)).toEqual([expect.stringMatching(line)]);
});
