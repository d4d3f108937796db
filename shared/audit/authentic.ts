import { SealError, type Sealer, tampered } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";
import { type AuditEntry, type AuditNote, type AuditOutcome, parseEntry, type StoredEntry } from "./entry.ts";
import { type ArgumentsOf, string, stringsByName } from "../redis/script.ts";
import { timeOfId } from "../redis/stream-id.ts";

/** Stands for a command id that the writer cannot know: for a repeat, only the script finds the original's id. */
const ANY = "*";
/** How much an entry's time may differ from when it was sent to Redis, us: a hanging Redis writes it that much later. */
const LATE_US = 300_000_000;
/** How many entries are remembered to recognise a copy within LATE_US: the number written in that time at 300/s. */
const REMEMBERED = 100_000;

const macOf = (
  sealer: Sealer,
  base: string,
  note: readonly string[],
  outcome: string,
  command: string,
  issued: string,
) => sealer.mac(["audit", base, ...note, outcome, command, issued]);

/** A note as the scripts take it; see auditIn. Texts are stored as they are here: MACs are over them. */
export const AUDIT_NOTE = {
  user: string,
  role: string,
  action: string,
  /** JSON. */
  about: string,
  request: string,
  address: string,
  /** Written once in `onceMs` for each of these; empty: always. */
  once: string,
  onceMs: string,
  /** When it was handed to Redis, by Redis's clock, us; empty without keys. */
  issued: string,
  /** By outcome. */
  macs: stringsByName,
} as const;
export type NoteArgument = ArgumentsOf<typeof AUDIT_NOTE>;

/**
 * @param commands the command it concerns, by possible outcome
 * @param issued when it is sent to Redis, by Redis's clock, us; empty without keys
 */
export function toArgument(
  sealer: Sealer,
  base: string,
  note: AuditNote,
  commands: Partial<Record<AuditOutcome, string>>,
  issued: string,
): NoteArgument {
  // Lua's JSON rejects lone surrogates, which a token may contain.
  const stored = {
    user: note.user.toWellFormed(),
    role: note.role,
    action: note.action.toWellFormed(),
    about: JSON.stringify(note.about),
    request: note.requestId.toWellFormed(),
    address: note.address.toWellFormed(),
  };
  const macs = Object.entries(commands).map(([outcome, command]) => [
    outcome,
    macOf(sealer, base, Object.values(stored), outcome, outcome === "replayed" ? ANY : command.toWellFormed(), issued),
  ]);
  const once = { once: (note.once?.key ?? "").toWellFormed(), onceMs: String(note.once?.ms ?? 0) };
  return { ...stored, ...once, issued, macs: Object.fromEntries(macs) as Record<string, string> };
}

/** Why an entry is not authentic; undefined if the bridge wrote it, or without keys. */
export function doubtOfEntry(sealer: Sealer, base: string, stored: StoredEntry): SealError | undefined {
  if (!sealer.keyed) return undefined;
  const entry = parseEntry(stored);
  if (!entry) return tampered("audit entry");
  const { user, role, action, about, outcome, request, address, issued = "", mac } = entry;
  const note = [user, role, action, JSON.stringify(about), request, address];
  const command = outcome === "replayed" ? ANY : entry.command;
  try {
    sealer.verify(["audit", base, ...note, outcome, command, issued], mac);
  } catch (error) {
    if (error instanceof SealError) return error;
    throw error;
  }
  return mac !== undefined && !isOnTime(entry) ? tampered("audit entry") : undefined;
}

const isOnTime = ({ id, issued }: AuditEntry): boolean => Math.abs(timeOfId(id) - Number(issued)) <= LATE_US;

/** Recognises copies among entries in the order of the trail. */
export function createCopies() {
  const seen = new Map<string, Micros>();
  return (stored: StoredEntry): boolean => {
    const { id, mac } = parseEntry(stored) ?? {};
    if (id === undefined || !mac) return false;
    const at = timeOfId(id);
    for (const [old, when] of seen) {
      if (when >= at - 2 * LATE_US && seen.size < REMEMBERED) break;
      seen.delete(old);
    }
    if (seen.has(mac)) return true;
    seen.set(mac, at);
    return false;
  };
}
/** How far back entries must be read before copies are recognised, ms. */
export const COPIES_MS = (2 * LATE_US) / 1000;
