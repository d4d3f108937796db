import { BoundedMap } from "../../shared/util/bounded-map.ts";
import { incidentIdOf, isRecord, markOf } from "./payload.ts";

/** One write to the CAD's database. */
export interface Write {
  /** 1, 2, 3, … in order of the writes. */
  seq: number;
  /** Milliseconds since 1970. */
  time: number;
  event: string;
  /** `unit:<id>` or `incident:<id>`. */
  subject: string;
  /** `status`, `location`, or the name of a time. */
  column: string;
  value: unknown;
  commandId: string | null;
}

/** Column and value that an event writes; undefined if it writes none. */
const COLUMNS: Readonly<Record<string, (payload: Record<string, unknown>) => [column: string, value: unknown]>> = {
  "unit:location": ({ location }) => ["location", location],
  "unit:status": ({ status }) => ["status", status],
  "incident:status": ({ status }) => ["status", status],
  "incident:timestamp": ({ field, timestamp }) => [String(field), timestamp],
};

/** The CAD's database. Survives restarts of the CAD's process. */
export class Store {
  readonly #max: number;
  readonly #columns: BoundedMap<string, unknown>;
  readonly #incidents: BoundedMap<string, true>;
  #writes: Write[] = [];
  #count = 0;

  constructor(max = 1_000_000) {
    this.#max = max;
    this.#columns = new BoundedMap(max);
    this.#incidents = new BoundedMap(max);
  }

  /** Creates an incident as the CAD's REST API does, without a broadcast. */
  addIncident(id: string): void {
    this.#incidents.set(id, true);
  }
  hasIncident(id: string): boolean {
    return this.#incidents.has(id);
  }

  write(event: string, payload: unknown): void {
    if (!isRecord(payload)) return;
    const columnOf = COLUMNS[event];
    if (!columnOf) return;
    const [column, value] = columnOf(payload);
    const subject = event.startsWith("unit:")
      ? `unit:${String(payload["unitId"])}`
      : `incident:${String(incidentIdOf(payload))}`;
    this.#columns.set(`${subject} ${column}`, value);
    this.#count += 1;
    const commandId = markOf(payload)?.commandId ?? null;
    const write = { seq: this.#count, time: Date.now(), event, subject, column, value, commandId };
    if (this.#writes.length < this.#max) this.#writes.push(write);
  }

  /** The current value of a row; undefined if never written. */
  read(subject: string, column: string): unknown {
    return this.#columns.get(`${subject} ${column}`);
  }

  /** At most `limit` writes with a number above `after`, oldest first. */
  writes({ after = 0, limit = this.#max }: { after?: number; limit?: number } = {}): readonly Write[] {
    return this.#writes.slice(after, after + limit);
  }
}
