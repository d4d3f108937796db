import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const BYTES_PER_LINE = 1_000;

/** The last lines of a file of any size; a note if it is empty or unreadable. */
export function tailOf(file: string, lines = 15): string {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    return `(nothing in ${file})`;
  }
  try {
    const size = fstatSync(fd).size;
    const buffer = Buffer.alloc(Math.min(size, lines * BYTES_PER_LINE));
    readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    const text = buffer.toString("utf8").trimEnd();
    return text === "" ? `(no output)` : text.split("\n").slice(-lines).join("\n");
  } finally {
    closeSync(fd);
  }
}
