import { z } from "zod";
import { toIso } from "../util/time.ts";
import { ENTRY_KINDS, type JournalEntry } from "./entry.ts";

/** An entry of the journal as the API returns it. */
export const entryResponse = z.object({
  id: z.string().meta({ description: "Strictly increasing: MILLISECONDS-NUMBER, the time of writing." }),
  cad: z.string().meta({ description: "The CAD that sent it." }),
  event: z.string(),
  kind: z.enum(ENTRY_KINDS).meta({
    description:
      "`event`: a known event. `malformed`: a known event whose payload does not match its schema, see `wrong`. `unknown`: an event that is not in the event table. `bridge`: written by the bridge itself.",
  }),
  occurred_at: z.string().nullable().meta({ description: "Time of the event, if the CAD sends one." }),
  received_at: z.string().meta({ description: "When the bridge received it." }),
  own_command: z.string().nullable().meta({ description: "The bridge's command of which this is the echo." }),
  recovered: z.boolean().nullable().meta({
    description: "`true`: missed at first, then recovered. `false`: events were missed and could not be recovered.",
  }),
  about: z.object({ units: z.array(z.string()), incidents: z.array(z.string()) }),
  payload: z.unknown().meta({ description: "As the CAD sent it." }),
  wrong: z.array(z.string()).meta({ description: "Validation errors; never a value." }),
});
export type EntryResponse = z.infer<typeof entryResponse>;

export function toEntryResponse(entry: JournalEntry): EntryResponse {
  const ids = (kind: string) => entry.keys.flatMap((key) => (key.startsWith(kind) ? [key.slice(kind.length)] : []));
  return {
    id: entry.id,
    cad: entry.cad,
    event: entry.event,
    kind: entry.kind,
    occurred_at: entry.occurredAt === undefined ? null : toIso(entry.occurredAt),
    received_at: toIso(entry.receivedAt),
    own_command: entry.own ?? null,
    recovered: entry.recovered ?? null,
    about: { units: ids("unit:"), incidents: ids("incident:") },
    payload: entry.payload,
    wrong: [...entry.wrong],
  };
}
