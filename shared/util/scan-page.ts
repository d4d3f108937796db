export interface Chunk<Row> {
  rows: readonly Row[];
  /** False if no more rows can follow. */
  more: boolean;
}

export interface Scan<Row, Found, Cursor> {
  /** The next rows in query order after this cursor; without one, from the start. */
  read(after: Cursor | undefined): Promise<Chunk<Row>>;
  /**
   * The page's item for each row; undefined if it does not match. The result may be shorter than `rows`, but not empty: the remaining
   * rows are passed again. `room` is the number of items that still fit on the page.
   */
  match(rows: readonly Row[], room: number): (Found | undefined)[] | Promise<(Found | undefined)[]>;
  cursorOf(row: Row): Cursor;
  /** The end of the previous page. */
  after: Cursor | undefined;
  /** Maximum number of items on the page. */
  limit: number;
  /** Maximum number of rows read per request: a filter with few matches must not read the whole store. */
  lookAt: number;
  /** Maximum total size of the items, and the size of each; the last one may exceed it. */
  maxSize?: number;
  sizeOf?(found: Found): number;
}

export interface Page<Found, Cursor> {
  found: Found[];
  /** The start of the next page; undefined if no match can follow. A page may be short, even empty, although rows follow. */
  next: Cursor | undefined;
}

const isEmpty = (matches: readonly unknown[]): boolean => matches.every((match) => match === undefined);

/** One page of matches from a store that is read in chunks. */
export async function scanPage<Row, Found, Cursor>(scan: Scan<Row, Found, Cursor>): Promise<Page<Found, Cursor>> {
  const { limit, lookAt, maxSize = Infinity, sizeOf = () => 0 } = scan;
  const found: Found[] = [];
  let { after } = scan;
  let [looked, size] = [0, 0];
  for (;;) {
    const { rows, more } = await scan.read(after);
    for (let start = 0; start < rows.length;) {
      const matched = await scan.match(rows.slice(start), limit - found.length);
      if (matched.length === 0) throw new Error("a scan has to decide on at least one row");
      for (const [i, row] of rows.slice(start, start + matched.length).entries()) {
        const match = matched[i];
        after = scan.cursorOf(row);
        looked += 1;
        if (match !== undefined) {
          found.push(match);
          size += sizeOf(match);
        }
        if (found.length < limit && looked < lookAt && size < maxSize) continue;
        const isLast = !more && start + matched.length === rows.length && isEmpty(matched.slice(i + 1));
        return { found, next: isLast ? undefined : after };
      }
      start += matched.length;
    }
    if (!more || rows.length === 0) return { found, next: undefined };
  }
}
