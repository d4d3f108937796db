import type { CsvLine } from "./csv.ts";
import { readRow, TRANSITIONS, type Response } from "./sffd-row.ts";

/**
 * San Francisco Fire Department "Calls for Service" as calls of the HTTP API. One row is one unit's response to one
 * incident. Pure: rows in, calls and invalid rows out.
 */
export interface ApiCall {
  /** Time of the call, ms since 1970. */
  at: number;
  line: number;
  command: string;
  body: Record<string, unknown>;
}

export interface BadRow {
  line: number;
  problems: string[];
}

export interface GoodRow {
  line: number;
  response: Response;
}

export interface Day {
  calls: ApiCall[];
  good: GoodRow[];
  bad: BadRow[];
  rows: number;
}

/** A call with its position among calls of the same second: by rank, then by line. */
type Ranked = ApiCall & { rank: number };

/** All calls of these rows, ordered by time. A row with any error is reported and not sent. */
export function toCalls(lines: Iterable<CsvLine>): Day {
  const bad: BadRow[] = [];
  const good: GoodRow[] = [];
  const calls: Ranked[] = [];
  const created = new Map<string, Ranked>();
  let rows = 0;
  for (const { line, row, problem } of lines) {
    rows += 1;
    const read = problem === undefined ? readRow(row) : { problems: [problem] };
    if ("problems" in read) {
      bad.push({ line, problems: read.problems });
      continue;
    }
    good.push({ line, response: read });
    calls.push(...responseCalls(read, line));
    const incident = incidentCall(read, line);
    const known = created.get(read.incident);
    if (known === undefined) created.set(read.incident, incident);
    else known.at = Math.min(known.at, incident.at);
  }
  calls.push(...created.values());
  calls.sort((a, b) => a.at - b.at || a.rank - b.rank || a.line - b.line);
  return { calls: calls.map(({ at, line, command, body }) => ({ at, line, command, body })), good, bad, rows };
}

/** The time of receipt, or earlier if bad times put a later step before it: the incident must exist first. */
function incidentCall(r: Response, line: number): Ranked {
  const times = [r.received, ...r.times.values()].flatMap((time) => time?.at ?? []);
  return { at: Math.min(...times), rank: 0, line, command: "incidents", body: callOut(r) };
}

const callOut = (r: Response) => ({
  incident_id: r.incident,
  incident_type: r.type,
  address: r.address,
  priority: r.priority,
  ...(r.place && { location: r.place }),
});

function responseCalls(r: Response, line: number): Ranked[] {
  return TRANSITIONS.flatMap(({ column, status, field }, index) => {
    const time = r.times.get(column);
    if (time === undefined) return [];
    const rank = (index + 1) * 10;
    const at = (order: number, command: string, body: Record<string, unknown>): Ranked => ({
      at: time.at,
      rank: rank + order,
      line,
      command,
      body,
    });
    return [
      status === undefined
        ? at(0, "assignments/send", { unit_id: r.unit, ...callOut(r) })
        : at(0, "units/status", { unit_id: r.unit, status, incident_id: r.incident }),
      ...(status === "onscene" && r.place
        ? [at(1, "units/location", { unit_id: r.unit, latitude: r.place.lat, longitude: r.place.lng })]
        : []),
      at(2, "incidents/timestamp", { incident_id: r.incident, field, timestamp: time.iso, source: "auto" }),
      ...(status === "hospital"
        ? [
            at(3, "transport/completed", {
              incident_id: r.incident,
              epcr_id: `${r.call}-${r.unit}`,
              transport_type: r.transportType,
            }),
          ]
        : []),
    ];
  });
}
