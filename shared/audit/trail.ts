import type { Redis } from "ioredis";
import type { OutboxKeys } from "../redis/keys.ts";
import { defineScript, object, openScript, string } from "../redis/script.ts";
import type { Sealer } from "../sealing/seal.ts";
import { type AuditEntry, type AuditNote, type AuditOutcome, parseEntry, type StoredEntry } from "./entry.ts";
import { scanPage } from "../util/scan-page.ts";
import { createAuditClock } from "./clock.ts";
import { AUDIT_NOTE, doubtOfEntry, toArgument } from "./authentic.ts";
import { auditKeys } from "./keys.ts";

/** Maximum number of entries per minute for requests without a valid token, from all addresses together. */
export const MAX_UNAUTHENTICATED_PER_MINUTE = 300;

/**
 * For scripts that write an audit entry in the same atomic step: audit(note, outcome, command). `note` has the
 * fields of AUDIT_NOTE; nil writes nothing. `base`: Lua expression of the CAD's base name. Call it before any write or after all
 * of them: it fails only if Redis does.
 */
export const auditIn = (base: string): string => `
local function audit(note, outcome, command)
  if not note then return end
  local base = ${base}
  local nth = redis.call('HINCRBY', base .. ':audit:counts', outcome .. ' ' .. note.action, 1)
  if note.once ~= '' then
    local seen = base .. ':audit:seen:' .. redis.sha1hex(outcome .. note.once)
    if not redis.call('SET', seen, '1', 'NX', 'PX', note.onceMs) then return end
  end
  if outcome == 'unauthenticated' or (outcome == 'too-many-requests' and note.user == '') then
    local spent = redis.call('INCR', base .. ':audit:spent')
    if spent == 1 then redis.call('PEXPIRE', base .. ':audit:spent', 60000) end
    if spent > ${MAX_UNAUTHENTICATED_PER_MINUTE} then return end
  end
  local mac = {}
  if note.issued ~= '' then mac = {'issued', note.issued, 'mac', note.macs[outcome] or ''} end
  redis.call('XADD', base .. ':audit', '*', 'user', note.user, 'role', note.role, 'action', note.action, 'about', note.about,
    'outcome', outcome, 'command', command, 'request', note.request, 'address', note.address, 'nth', nth, unpack(mac))
end
`;

const NOTE = `
${auditIn("KEYS[1]")}
audit(args.note, args.outcome, args.command)
return 1
`;
const FIELDS = { note: object("note", AUDIT_NOTE), outcome: string, command: string };
const STORING = defineScript("auditNote", FIELDS, `#!lua\n${NOTE}`);
/** Administrative actions are recorded even when Redis is full, since discarding and reconnecting help then. */
const ALWAYS = defineScript("auditNoteAlways", FIELDS, `#!lua flags=allow-oom\n${NOTE}`);

/** Selects entries; absent criteria do not restrict. */
export interface AuditFilter {
  user?: string | undefined;
  action?: string | undefined;
  outcome?: AuditOutcome | undefined;
  /** Milliseconds since 1970 by Redis's clock, inclusive. */
  since?: number | undefined;
  until?: number | undefined;
}

export interface AuditQuery {
  filter: AuditFilter;
  /** Maximum number of entries of a page. There may be fewer although more follow: see `next`. */
  limit: number;
  /** `next` of the previous page. */
  after?: string | undefined;
}

/** `authentic`: its MAC proves that the bridge wrote it. Unknown without keys, and for entries from before there were keys. */
export type ShownEntry = AuditEntry & { authentic: boolean };

export interface AuditPage {
  /** Newest first. */
  entries: ShownEntry[];
  next: string | undefined;
}

/** Records who did what. Append-only. */
export interface AuditTrail {
  /** Resolves once Redis has stored it. */
  note(note: AuditNote, outcome: AuditOutcome, command: string): Promise<void>;
  list(query: AuditQuery): Promise<AuditPage>;
}

const CHUNK = 200;
/** Maximum number of entries read per request. */
const LOOK_AT = 5000;
const ADMINISTRATIVE: ReadonlySet<AuditOutcome> = new Set(["requested", "done", "failed"]);

export function openAuditTrail(redis: Redis, outbox: OutboxKeys, sealer: Sealer): AuditTrail {
  const keys = auditKeys(outbox.cad);
  const clock = createAuditClock(redis, keys.entries);
  const storing = openScript(redis, STORING, [keys.base]);
  const always = openScript(redis, ALWAYS, [keys.base]);

  return {
    async note(note, outcome, command) {
      const issued = sealer.keyed ? String(await clock()) : "";
      const noted = toArgument(sealer, keys.base, note, { [outcome]: command }, issued);
      await (ADMINISTRATIVE.has(outcome) ? always : storing)({ note: noted, outcome, command });
    },

    async list({ filter, limit, after }) {
      const { found, next } = await scanPage({
        async read(last: string | undefined) {
          const from = last === undefined ? (filter.until ?? "+") : `(${last}`;
          const rows: StoredEntry[] = await redis.xrevrange(keys.entries, from, filter.since ?? "-", "COUNT", CHUNK);
          return { rows, more: rows.length === CHUNK };
        },
        match: (rows) =>
          rows.map((stored) => {
            const entry = parseEntry(stored) ?? illegible(stored);
            if (!matches(entry, filter)) return undefined;
            const authentic = sealer.keyed && doubtOfEntry(sealer, keys.base, stored) === undefined && !!entry.mac;
            return { ...entry, authentic };
          }),
        cursorOf: ([id]) => id,
        after,
        limit,
        lookAt: LOOK_AT,
      });
      return { entries: found, next };
    },
  };
}

/** An entry not written by the bridge: `npm run audit -- verify` reports it, and it is shown unchanged. */
const illegible = ([id]: StoredEntry): AuditEntry => ({
  ...{ id, user: "", role: "", action: "(not an entry of the bridge)", about: [], outcome: "failed" },
  ...{ command: "", request: "", address: "", nth: 0 },
});

const matches = (entry: AuditEntry, filter: AuditFilter): boolean =>
  (filter.user === undefined || entry.user === filter.user) &&
  (filter.action === undefined || entry.action === filter.action) &&
  (filter.outcome === undefined || entry.outcome === filter.outcome);
