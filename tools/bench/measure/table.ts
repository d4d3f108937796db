import { type Goal, compareWithGoal } from "./goal.ts";

/** One number of a table. */
export interface ResultLine {
  what: string;
  measured: number | undefined;
  unit: string;
  goal?: Goal;
  /** A short explanation. */
  note?: string;
}

export interface Table {
  title: string;
  lines: ResultLine[];
}

/** The result of one part of the bench: tables for people, numbers for the file. */
export interface Part {
  tables: Table[];
  numbers: Readonly<Record<string, unknown>>;
}

const COLUMNS = ["", "measured", "target", "ratio", "", ""];

export function render({ title, lines }: Table): string {
  const rows = lines.map(({ what, measured, unit, goal, note }) => {
    const { target, ratio, verdict } = compareWithGoal(measured, goal);
    const bound = goal?.atLeast === undefined ? "≤" : "≥";
    return [
      what,
      measured === undefined ? "-" : `${number(measured)} ${unit}`.trim(),
      target === undefined ? "" : `${bound} ${number(target)} ${unit}`.trim(),
      ratio === undefined ? "" : ratio.toFixed(2),
      verdict,
      note ?? "",
    ];
  });
  const all = [COLUMNS, ...rows];
  const widths = COLUMNS.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) =>
    row
      .map((cell, i) => (i === 0 || i >= 4 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return `\n${title}\n${all.map((row) => `  ${line(row)}`).join("\n")}`;
}

/** Three significant digits; numbers from 1,000 as integers. */
function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(value !== 0 && Math.abs(value) < 10 ? 2 : 3).replace(/\.0+$/, "");
}
