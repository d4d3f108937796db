import { z } from "zod";
import { toIso } from "../util/time.ts";
import { ENTRY_KINDS, type JournalEntry } from "./entry.ts";

/** An entry of the journal as the API tells it. */
export const toldEntry = z.object({
  id: z.string().meta({ description: "Strictly increasing: MILLISECONDS-NUMBER, when the journal had it." }),
  cad: z.string().meta({ description: "The CAD that it came from." }),
  event: z.string(),
  kind: z.enum(ENTRY_KINDS).meta({
    description:
      "`event`: one that the bridge knows. `malformed`: one whose payload does not parse, see `wrong`. `unknown`: an event that is in no table. `bridge`: what the bridge itself has to say.",
  }),
  occurred_at: z.string().nullable().meta({ description: "When it happened, where the CAD says so." }),
  received_at: z.string().meta({ description: "When the bridge got it." }),
  own_command: z.string().nullable().meta({ description: "The command of the bridge's own that it is the echo of." }),
  recovered: z.boolean().nullable().meta({
    description: "`true`: it was missed at first. `false`: something was missed, and could not be recovered.",
  }),
  about: z.object({ units: z.array(z.string()), incidents: z.array(z.string()) }),
  payload: z.unknown().meta({ description: "As the CAD sent it." }),
  wrong: z.array(z.string()).meta({ description: "What does not parse." }),
});
export type ToldEntry = z.infer<typeof toldEntry>;

export function toEntryResponse(entry: JournalEntry): ToldEntry {
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
