export interface Chunk<Row> {
  rows: readonly Row[];
  /** False if no row can follow these. */
  more: boolean;
}

export interface Scan<Row, Found, Cursor> {
  /** The next rows in the order of the query, from behind this cursor; without one, from the beginning. */
  read(after: Cursor | undefined): Promise<Chunk<Row>>;
  /**
   * What the page is to hold of each row; undefined where it does not match. The answer may end early, but not before the first
   * row: the rows after it are asked about again. `room` more fit on the page.
   */
  match(rows: readonly Row[], room: number): (Found | undefined)[] | Promise<(Found | undefined)[]>;
  cursorOf(row: Row): Cursor;
  /** Where the page before ended. */
  after: Cursor | undefined;
  /** How many the page holds at most. */
  limit: number;
  /** How many rows one request looks at, at most: a filter that matches little must not read the whole store. */
  lookAt: number;
  /** How large what was found may become, and of what that is the sum; the last one may exceed it. */
  maxSize?: number;
  sizeOf?(found: Found): number;
}

export interface Page<Found, Cursor> {
  found: Found[];
  /** Where the next page begins; undefined if nothing that matches can follow. A page may be short, even empty, although rows follow. */
  next: Cursor | undefined;
}

const isEmpty = (matches: readonly unknown[]): boolean => matches.every((match) => match === undefined);

/** One page of what matches, from a store that is read in chunks. */
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
