import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { parse } from "csv-parse";
import { SetupError } from "../setup/setup-error.ts";

/** A row by column names in snake_case, as in DataSF's API; its CSV download has names like "Unit ID". */
export type Row = Readonly<Record<string, string>>;

export interface CsvLine {
  /** Line number in the file, from 1; the last line of a row that spans several. */
  line: number;
  /** Why the row is invalid. */
  problem?: string;
  row: Row;
}

export const snakeCase = (name: string) =>
  name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_");

/**
 * The rows of a CSV file with a header, at most `limit`, invalid ones included. Throws a SetupError if the file cannot
 * be read or lacks one of the `required` columns.
 */
export async function* readCsv(file: string, required: readonly string[], limit = Infinity): AsyncGenerator<CsvLine> {
  const found = await stat(file).catch((error: unknown) => {
    throw new SetupError(
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      "Give the path of a CSV file.",
    );
  });
  if (!found.isFile()) throw new SetupError(`${file} is not a file.`, "Give the path of a CSV file.");

  const skipped: CsvLine[] = [];
  const parser = createReadStream(file).pipe(
    parse({
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      max_record_size: 1_000_000,
    }),
  );
  parser.on("skip", (error: Error & { lines?: number }) =>
    skipped.push({ line: error.lines ?? 0, problem: error.message, row: {} }),
  );

  let columns: string[] | undefined;
  let rows = 0;
  // csv-parse types its records as any: with `info` and without `columns` they have this type.
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
    if (columns === undefined) {
      columns = headerOf(record, required, file);
      continue;
    }
    for (const line of skipped.splice(0)) if (rows++ < limit) yield line;
    if (rows++ >= limit) return;
    const wrong =
      record.length === columns.length
        ? {}
        : { problem: `has ${record.length} fields where the header has ${columns.length}` };
    yield {
      line: info.lines,
      row: Object.fromEntries(columns.map((name, i) => [name, record[i]?.trim() ?? ""])),
      ...wrong,
    };
  }
  if (columns === undefined) throw new SetupError(`${file} is empty.`, "Give a CSV file with a header.");
  for (const line of skipped) if (rows++ < limit) yield line;
}

function headerOf(record: readonly string[], required: readonly string[], file: string): string[] {
  const columns = record.map(snakeCase);
  const missing = required.filter((name) => !columns.includes(name));
  if (missing.length === 0) return columns;
  throw new SetupError(
    `${file} lacks the columns ${missing.join(", ")}.`,
    'Replay takes a CSV download of DataSF\'s "Fire Department and Emergency Medical Services Dispatched Calls for Service".',
  );
}
