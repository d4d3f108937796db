import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const BYTES_PER_LINE = 1_000;

/** The last lines of a file, however long it is; a line saying so if it is empty or cannot be read. */
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
    return text === "" ? `(it printed nothing)` : text.split("\n").slice(-lines).join("\n");
  } finally {
    closeSync(fd);
  }
}
