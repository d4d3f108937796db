import { MAX_FUTURE_MS } from "./fields.ts";
import { CAD_TIME_COLUMNS } from "./cad-vocabulary.ts";

/**
 * `order`: the first column is later than the second, which should be later. `future`: more than an hour ahead (NEMSIS
 * nemSch_e056). `unreadable`: not an ISO 8601 time with an offset, so the instant is unknown.
 */
export interface ChronologyWarning {
  code: "order" | "future" | "unreadable";
  columns: string[];
  message: string;
}

const WITH_OFFSET = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d(:?\d\d)?)$/i;

/** Milliseconds since 1970; undefined if it is not an instant. */
export function instantOf(text: unknown): number | undefined {
  if (typeof text !== "string" || !WITH_OFFSET.test(text)) return undefined;
  // Databases also write a blank for the T, and an offset of hours only.
  const iso = text
    .replace(" ", "T")
    .replace(/\s/, "")
    .replace(/([+-]\d\d)$/, "$1:00")
    .replace(/([+-]\d\d)(\d\d)$/, "$1:$2");
  const at = Date.parse(iso);
  return Number.isNaN(at) ? undefined : at;
}

/**
 * Implausible times of an incident. Like NEMSIS's own rules, it warns and refuses nothing.
 * @param times by the CAD's column
 * @param now milliseconds since 1970
 */
export function chronologyWarnings(times: ReadonlyMap<string, unknown>, now: number): ChronologyWarning[] {
  const instants = new Map([...times].map(([column, text]) => [column, instantOf(text)]));
  const unreadable = [...instants].flatMap(([column, at]): ChronologyWarning[] =>
    at === undefined
      ? [{ code: "unreadable", columns: [column], message: `${column} is not a time with an offset` }]
      : [],
  );
  const future = [...instants].flatMap(([column, at = 0]): ChronologyWarning[] =>
    at > now + MAX_FUTURE_MS
      ? [{ code: "future", columns: [column], message: `${column} is more than an hour in the future` }]
      : [],
  );
  return [...unreadable, ...future, ...outOfOrder(instants)];
}

/** Every pair of columns in which the earlier step has the later time. */
function outOfOrder(instants: ReadonlyMap<string, number | undefined>): ChronologyWarning[] {
  const known = CAD_TIME_COLUMNS.flatMap((column) => {
    const at = instants.get(column);
    return at === undefined ? [] : [{ column, at }];
  });
  return known.flatMap((first, i) =>
    known.slice(i + 1).flatMap((second): ChronologyWarning[] =>
      first.at > second.at
        ? [
            {
              code: "order",
              columns: [first.column, second.column],
              message: `${first.column} is later than ${second.column}`,
            },
          ]
        : [],
    ),
  );
}
