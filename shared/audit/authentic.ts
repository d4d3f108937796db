import { SealError, type Sealer, tampered } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";
import { type AuditEntry, type AuditNote, type AuditOutcome, parseEntry, type StoredEntry } from "./entry.ts";
import { timeOfId } from "../redis/stream-id.ts";

/** Stands for a command that the writer cannot know: of what was accepted before, only the script finds the id. */
const ANY = "*";
/** By how much the time of an entry may differ from when it was handed to Redis, us: a Redis that hangs writes it that much later. */
const LATE_US = 300_000_000;
/** How many entries are remembered, so that a copy within LATE_US is recognised: as many as come in that time at 300/s. */
const REMEMBERED = 100_000;

const macOf = (
  sealer: Sealer,
  base: string,
  note: readonly string[],
  outcome: string,
  command: string,
  issued: string,
) => sealer.mac(["audit", base, ...note, outcome, command, issued]);

/**
 * A note as the scripts take it. @param commands the command that it is about, by what may come of it
 * @param issued when it is handed to Redis, by Redis's clock, us; empty without keys
 */
export function toArgument(
  sealer: Sealer,
  base: string,
  note: AuditNote | undefined,
  commands: Partial<Record<AuditOutcome, string>>,
  issued: string,
): string {
  if (note === undefined) return "";
  // Lua's JSON refuses half of a surrogate pair; a token may have one in it.
  const texts = [note.user, note.role, note.action, JSON.stringify(note.about), note.requestId, note.address].map(
    (text) => text.toWellFormed(),
  );
  const macs = Object.entries(commands).map(([outcome, command]) => [
    outcome,
    macOf(sealer, base, texts, outcome, outcome === "replayed" ? ANY : command.toWellFormed(), issued),
  ]);
  const once = [(note.once?.key ?? "").toWellFormed(), String(note.once?.ms ?? 0)];
  return JSON.stringify([...texts, ...once, issued, Object.fromEntries(macs)]);
}

/** Why an entry is not authentic; undefined if the bridge wrote it, or if there are no keys to check. */
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

/** Recognises copies of entries among those that come in the order of the trail. */
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
/** How far back entries are to be looked at before copies are recognised, ms. */
export const COPIES_MS = (2 * LATE_US) / 1000;
