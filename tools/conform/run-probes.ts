import { sleep } from "../../shared/util/sleep.ts";
import { authenticate } from "./cad/authenticate.ts";
import { createCadClient } from "./cad/client.ts";
import { environmentLines } from "./environment-lines.ts";
import type { Probe, ProbeContext, ProbeResult } from "./probes/probe.ts";
import { probes } from "./probes/table.ts";
import type { Report } from "./report.ts";

/** Time limit of one probe, ms: the longest emits 16 events, all of which may go unanswered. */
const PROBE_MS = 60_000;

export interface RunOptions extends Pick<
  ProbeContext,
  "endpoint" | "token" | "unit" | "incident" | "write" | "signal"
> {
  /** The CAD's address without secrets, for the report. */
  shownUrl: string;
  progress(line: string): void;
}

/** Grades one CAD. Rejects with NoConnection or TokenRefused, or with the signal's reason. */
export async function runProbes(options: RunOptions): Promise<Report> {
  const { endpoint, token, unit, incident, write, signal, progress } = options;
  const client = createCadClient(endpoint, token, signal);
  const another = (other = token) => createCadClient(endpoint, other, signal);
  const report: Report = { url: options.shownUrl, grades: [], events: [], skipped: [], environment: [] };
  try {
    progress("connecting");
    await client.connect();
    await authenticate(client, token);
    const context: ProbeContext = { endpoint, token, client, unit, incident, write, another, signal };
    for (const [i, probe] of probes.entries()) {
      if (probe.writes && !write) {
        report.skipped.push({ what: probe.title, why: "it changes the CAD's data: allow it with --write" });
        continue;
      }
      progress(`${i + 1} of ${probes.length}: ${probe.title}`);
      const { grades, events = [] } = await within(probe, context);
      report.grades.push(...grades);
      report.events.push(...events);
    }
    const named = unit !== undefined && incident !== undefined;
    if (write && !named)
      report.skipped.push({
        what: "events about a unit and an incident that the CAD knows",
        why: "give them with --unit and --incident",
      });
    return { ...report, environment: environmentLines(report.grades, report.events, named) };
  } finally {
    client.leave();
  }
}

async function within(probe: Probe, context: ProbeContext): Promise<ProbeResult> {
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, context.signal]);
  const late = sleep(PROBE_MS, either).then((): ProbeResult => {
    context.signal.throwIfAborted();
    const said = `it did not end within ${PROBE_MS} ms`;
    return { grades: [{ what: probe.title, verdict: "unknown", said }] };
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([probe.run(context), late]);
  } finally {
    over.abort();
  }
}
