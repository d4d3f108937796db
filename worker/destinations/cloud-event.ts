import { CloudEvent, HTTP } from "cloudevents";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { classify, dataSchema } from "../../shared/events/contract.ts";
import { toIso } from "../../shared/util/time.ts";

/**
 * An entry of the journal as a CloudEvent 1.0 in structured mode: its attributes stand in the body, so that the signature covers
 * them. `owncommand` is the bridge's command that it is the echo of, `recovered` says that it came late, or not at all,
 * `traceparent` which trace it belongs to (the Distributed Tracing extension of CloudEvents).
 */
export function toCloudEvent(entry: JournalEntry, source: string, data: unknown, fields?: readonly string[]): string {
  const subject = entry.keys.find((key) => key.includes(":"));
  const dataschema = dataSchema(entry.event, fields);
  const event = new CloudEvent({
    id: entry.id,
    source,
    type: entry.event,
    time: toIso(entry.occurredAt ?? entry.receivedAt),
    datacontenttype: "application/json",
    data: data ?? null,
    dataclassification: classify(entry.event, fields),
    ...(dataschema !== undefined && { dataschema }),
    ...(subject !== undefined && { subject }),
    ...(entry.own !== undefined && { owncommand: entry.own }),
    ...(entry.recovered !== undefined && { recovered: entry.recovered }),
    ...(entry.traceparent !== undefined && { traceparent: entry.traceparent }),
  });
  return HTTP.structured(event).body as string;
}
