import { timeOfId } from "../../shared/redis/stream-id.ts";
import type { Context, Hono, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { z } from "zod";
import type { ShownEntry } from "../../shared/audit/trail.ts";
import { type AuditNote, type AuditOutcome, OUTCOMES } from "../../shared/audit/entry.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import type { Log } from "../../shared/util/log.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { type Problem, PROBLEMS } from "../http/problem.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { toIso } from "../../shared/util/time.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import type { CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { limitedAddress } from "../http/client-address.ts";
import { pageOf } from "../http/page.ts";
import { parseQuery } from "../http/query.ts";
import { mayTouch } from "../middleware/scope.ts";
import { whyFailed } from "../../shared/redis/fault.ts";

/** Positions of a unit, and other latest-wins values, get one entry per this time, ms. */
const LATEST_MS = 3_600_000;
/** Repeated reads of the same by one user get one entry per this time, since dashboards poll, ms. */
const READ_MS = 3_600_000;
/** Similar refusals of one address get one entry per this time, ms. */
const REFUSED_MS = 10_000;
/** A user's refusals and misses of one action, whatever ids they name, get one entry per this time, ms. */
const IN_VAIN_MS = 3_600_000;
const MAX_ID = 64;
/** The longest id of a unit or an incident, characters. */
const MAX_ABOUT = 200;
/** How long a refusal waits for its audit entry before it is answered, ms. */
const NOTE_MS = 500;

/** The audit note of a request, with what is known of the caller so far. */
export function noteOf(c: Context<CallerEnv>, basePath: string, about: readonly OrderingKey[] = []): AuditNote {
  // A refusal may precede authentication.
  const caller = c.get("caller") as CallerEnv["Variables"]["caller"] | undefined;
  return {
    user: caller?.userId ?? "",
    role: caller?.role ?? "",
    action: `${c.req.method} ${routePath(c)
      .replace(basePath, "")
      .replaceAll(/:(\w+)/g, "{$1}")}`,
    about,
    requestId: c.get("requestId"),
    address: c.get("clientAddress"),
  };
}

/** The unit or incident, or another id, in the path. Anyone can send anything there. */
function named(c: Context, basePath: string): { about: readonly OrderingKey[]; id: string } {
  const id = c.req.param("id") ?? "";
  const [, kind] = /^\/(unit|incident)s\/./.exec(c.req.path.slice(basePath.length)) ?? [];
  if (id === "" || kind === undefined) return { about: [], id: id.slice(0, MAX_ID) };
  return { about: [`${kind as "unit" | "incident"}:${id.slice(0, MAX_ABOUT)}`], id: "" };
}

/** A latest-wins command is recorded once per period for each user and unit, since a unit sends one per second. */
export const onceInAWhile = (note: AuditNote): AuditNote => ({
  ...note,
  once: { key: JSON.stringify([note.user, note.action, note.about]), ms: LATEST_MS },
});

const REFUSED: ReadonlySet<number> = new Set([401, 403, 429]);

/** Records a refusal. If that fails, the request is still refused and the failure is logged. */
export async function auditRefusal(
  c: Context<CallerEnv>,
  problem: Problem,
  { backend, basePath, log }: { backend: Backend; basePath: string; log: Log },
): Promise<void> {
  if (c.get("alike")) return;
  const outcome = OUTCOMES.find((known) => known === problem.code);
  if (!REFUSED.has(PROBLEMS[problem.code].status) || !outcome) return;
  const { about, id } = named(c, basePath);
  const ofBody = c.get("about");
  const note = noteOf(c, basePath, ofBody ?? about);
  await auditInVain(note, outcome, id, { backend, log });
}

/** Records a refused or missed request. Ids can be made up and entries are kept for years, so different ids share one entry. */
async function auditInVain(
  note: AuditNote,
  outcome: AuditOutcome,
  id: string,
  { backend, log }: { backend: Backend; log: Log },
): Promise<void> {
  const known = note.user !== "";
  const key = JSON.stringify([known ? note.user : limitedAddress(note.address), note.action]);
  const noted = backend.note({ ...note, once: { key, ms: known ? IN_VAIN_MS : REFUSED_MS } }, outcome, id);
  await withDeadline(noted, NOTE_MS, "recording a refusal").catch((error: unknown) => {
    const reason = whyFailed(error);
    log.warn(
      { outcome, action: note.action, address: note.address, reason },
      "a refusal was not recorded in the audit trail",
    );
  });
}

/** Records an administrator's action before it is executed, or refuses it; records its outcome afterwards. */
export function auditAdminAction(deps: { backend: Backend; basePath: string; log: Log }): MiddlewareHandler<CallerEnv> {
  const { backend, basePath, log } = deps;
  return async (c, next) => {
    const note = noteOf(c, basePath);
    const { id } = named(c, basePath);
    await backend.note(note, "requested", id);
    await next();
    const failed = c.res.status === 404 ? "not-found" : "failed";
    const outcome = c.error || c.res.status >= 400 ? failed : "done";
    await backend
      .note(note, outcome, id)
      .catch(() =>
        log.warn({ action: note.action, outcome }, "the outcome of an action was not recorded in the audit trail"),
      );
  };
}

interface ReadingDeps {
  backend: Backend;
  basePath: string;
  log: Log;
}

/**
 * Records the read of a list or a stream before it happens. A read by id is recorded once it is known whether the record
 * exists, but before the answer is sent: no answer without an audit entry.
 */
function auditReads(
  deps: ReadingDeps,
  toNote: (note: AuditNote, id: string) => AuditNote,
): MiddlewareHandler<CallerEnv> {
  const { backend, basePath } = deps;
  return async (c, next) => {
    const { about, id } = named(c, basePath);
    const note = noteOf(c, basePath, about);
    const done = () => backend.note(toNote(note, id), "done", id);
    if (c.req.param("id") === undefined) {
      await done();
      await next();
      return;
    }
    await next();
    if (c.res.status === 404) await auditInVain(note, "not-found", id, deps);
    else if (c.res.ok) await done();
  };
}

/** Records that a caller asked for something that does not exist, for an action that records its own success. */
export function auditMisses(deps: ReadingDeps): MiddlewareHandler<CallerEnv> {
  return async (c, next) => {
    await next();
    const { about, id } = named(c, deps.basePath);
    if (c.res.status === 404) await auditInVain(noteOf(c, deps.basePath, about), "not-found", id, deps);
  };
}

/** Reading other users' actions is recorded too. */
export const auditEachRead = (deps: ReadingDeps): MiddlewareHandler<CallerEnv> => auditReads(deps, (note) => note);

/** Reads of units, incidents and patients are recorded once per period for each user and subject. */
export const auditRead = (deps: ReadingDeps): MiddlewareHandler<CallerEnv> =>
  auditReads(deps, (note, id) => ({
    ...note,
    once: { key: JSON.stringify([note.user, note.action, note.about, id]), ms: READ_MS },
  }));

/** Ids of Redis Streams start in 1970. */
const sinceEpoch = instant.refine((text) => Date.parse(text) >= 0, "must not be before 1970");

export const auditQuery = z.strictObject({
  who: z.string().min(1).optional().meta({ description: "The subject of the token." }),
  action: z.string().min(1).optional().meta({ description: "Method and path, such as `POST /units/status`." }),
  outcome: z.enum(OUTCOMES).optional(),
  since: sinceEpoch.optional().meta({ description: "At this time or later, by Redis's clock." }),
  until: sinceEpoch.optional().meta({ description: "At this time or before." }),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,15}-\d{1,10}$/, "is not a cursor of this list")
    .optional()
    .meta({ description: "`next` of the previous page." }),
});

const auditEntry = z.object({
  id: z.string(),
  at: z.string().meta({ description: "Time by Redis's clock." }),
  who: z.string().nullable().meta({ description: "The subject of the token; null where none was valid." }),
  role: z.string().nullable().meta({ description: "The highest of the token's roles." }),
  action: z.string().meta({ description: "Method and path." }),
  about: z.array(z.string()).meta({ description: "The unit and incident concerned." }),
  outcome: z.string().meta({ enum: [...OUTCOMES] }),
  command_id: z.string().nullable().meta({ description: "The command or dead letter concerned." }),
  request_id: z.string().nullable().meta({ description: "The X-Request-Id." }),
  address: z.string().meta({ description: "Address of the client." }),
  nth: z.int().meta({
    description: "Running number among entries with this action and outcome, counting those that were not written.",
  }),
  authentic: z.boolean().meta({
    description:
      "Whether its MAC proves that the bridge wrote it. false without PAYLOAD_KEYS, and for entries from before: then only `npm run audit -- verify` checks it.",
  }),
});
export const auditPage = pageOf("entries", auditEntry);

const toAnswer = ({
  id,
  user,
  command,
  request,
  nth,
  issued: _issued,
  mac: _mac,
  ...rest
}: ShownEntry): z.input<typeof auditEntry> => ({
  id,
  at: toIso(timeOfId(id)),
  who: user || null,
  role: rest.role || null,
  action: rest.action,
  about: [...rest.about],
  outcome: rest.outcome,
  address: rest.address,
  authentic: rest.authentic,
  command_id: command || null,
  request_id: request || null,
  nth,
});

const time = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text));

export interface AuditDeps {
  backend: Backend;
  authenticate: Authenticate;
  /** Limits how many lists a subject reads concurrently. */
  limitReads: MiddlewareHandler<CallerEnv>;
}

/** GET /audit: who did what, newest first. */
export function serveAudit(
  app: Hono<CallerEnv>,
  { backend, authenticate, limitReads }: AuditDeps,
  noted: MiddlewareHandler<CallerEnv>,
): void {
  const query = parseQuery(auditQuery);
  app.get("/audit", requireAccess(authenticate, "GET /audit"), limitReads, query, noted, async (c) => {
    const { limit, cursor, who, since, until, ...filter } = c.req.valid("query");

    const page = await backend.listAudit({
      filter: { ...filter, user: who, since: time(since), until: time(until) },
      limit,
      after: cursor,
    });
    const entries = page.entries.filter(({ about }) => mayTouch(c.get("caller"), about as OrderingKey[]));
    return c.json({ entries: entries.map(toAnswer), next: page.next ?? null });
  });
}
