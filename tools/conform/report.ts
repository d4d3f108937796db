import type { EventGrade, Grade } from "./probes/probe.ts";

export interface Report {
  /** Without user, password and query. */
  url: string;
  grades: Grade[];
  events: EventGrade[];
  /** What was not tested, and why. */
  skipped: { what: string; why: string }[];
  environment: string[];
}

const WIDTH = 100;

export function reportText(report: Report): string {
  const grades = report.grades.map((g) => [g.what, g.verdict, g.said]);
  const events = report.events.map((e) => [
    e.variant ? `${e.event} (${e.variant})` : e.event,
    e.acks,
    e.echoes,
    e.keepsId,
    e.unknownId,
    e.likely,
    e.answerMs === null ? "" : `${e.answerMs} ms`,
  ]);
  const proves = report.events.map((e) => [e.variant ? `${e.event} (${e.variant})` : e.event, e.proves]);
  const parts = [
    section("Connection", table(["what", "", "found"], grades)),
    events.length > 0 &&
      section("Events", table(["event", "acks", "echoes", "keeps id", "unknown id", "likely", "answer"], events)),
    proves.length > 0 &&
      section("What an answer proves", table(["event", "as far as is visible from outside"], proves)),
    report.skipped.length > 0 &&
      section("Not tested", report.skipped.map(({ what, why }) => `${what}: ${why}`).join("\n")),
    report.environment.length > 0 && section("Suggested environment", report.environment.join("\n")),
  ];
  return `${report.url}\n\n${parts.filter(Boolean).join("\n\n")}\n`;
}

const section = (title: string, text: string) => `${title}\n${"-".repeat(title.length)}\n${text}`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.min(WIDTH, Math.max(...all.map((row) => row[i]?.length ?? 0))));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
