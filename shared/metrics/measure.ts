import type { CounterName, HistogramName } from "./table.ts";

type Labels = Readonly<Record<string, string>>;

/** Records counts and durations. Takes about a microsecond, and never throws. */
export interface Measure {
  count(name: CounterName, labels?: Labels): void;
  observe(name: HistogramName, seconds: number, labels?: Labels): void;
}

/** For a host without metrics of its own, such as the edge. */
export const NO_MEASURE: Measure = { count: () => undefined, observe: () => undefined };
