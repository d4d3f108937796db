import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readCsv, type CsvLine } from "../../tools/replay/csv.ts";

const dir = mkdtempSync(join(tmpdir(), "socket-bridge-csv-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function read(text: string, required: string[] = [], limit?: number): Promise<CsvLine[]> {
  const file = join(dir, "rows.csv");
  writeFileSync(file, text);
  const lines: CsvLine[] = [];
  for await (const line of readCsv(file, required, limit)) lines.push(line);
  return lines;
}

describe("reading a CSV file", () => {
  it("names columns as DataSF's API does, whatever the file calls them", async () => {
    expect(await read('\uFEFFUnit ID,On Scene DtTm\r\nX1," 09:00 "\r\n')).toEqual([
      { line: 2, row: { unit_id: "X1", on_scene_dttm: "09:00" } },
    ]);
  });

  it("reports rows with too few or too many fields by line, and continues", async () => {
    const lines = await read("a,b\n1\n1,2,3\n1,2\n");
    expect(lines.map(({ line, problem }) => [line, problem])).toEqual([
      [2, "has 1 fields where the header has 2"],
      [3, "has 3 fields where the header has 2"],
      [4, undefined],
    ]);
  });

  it("reports an unclosed quote", async () => {
    const lines = await read('a,b\n1,2\n3,"4\n5,6\n');
    expect(lines[0]?.problem).toBeUndefined();
    expect(lines.slice(1).map(({ problem }) => problem)).toEqual([expect.stringMatching(/quote/i)]);
  });

  it("reads at most the given number of rows", async () => {
    expect(await read("a\n1\n2\n3\n", [], 2)).toHaveLength(2);
  });

  it("names the columns that are missing", async () => {
    await expect(read("a,b\n1,2\n", ["a", "c", "d"])).rejects.toThrow(/lacks the columns c, d/);
  });

  it("reports a file that is empty, missing or a directory", async () => {
    await expect(read("")).rejects.toThrow(/is empty/);
    await expect(readCsv(join(dir, "nothing.csv"), []).next()).rejects.toThrow(/nothing\.csv cannot be read/);
    await expect(readCsv(dir, []).next()).rejects.toThrow(/is not a file/);
  });
});
