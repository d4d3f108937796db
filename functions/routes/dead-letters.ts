import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import type { AuditNote } from "../../shared/audit/entry.ts";
import { commandNamed, commands } from "../../shared/commands/table.ts";
import { attempt } from "../../shared/destinations/attempts.ts";
import type { MessageRecord } from "../../shared/outbox/outbox.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import { requestObject } from "../../shared/vocabulary/request-object.ts";
import type { DeadFilter } from "../../shared/outbox/dead-letters.ts";
import { isRedrivable, REDRIVABLE_STATES } from "../../shared/outbox/states.ts";
import { noSuch, Problem, type WrongField } from "../http/problem.ts";
import type { GatedEndpoint } from "../../shared/vocabulary/roles.ts";
import { receipt, toReceipt } from "../../shared/commands/receipt.ts";
import { oneLine } from "../../shared/util/one-line.ts";
import { microsOf, toIso } from "../../shared/util/time.ts";
import { noteOf } from "./audit.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { requireKnown } from "./destination-replay.ts";
import { jsonBody, noBody } from "../http/json-body.ts";
import { pageOf } from "../http/page.ts";
import { parseQuery } from "../http/query.ts";
import { mayTouch } from "../middleware/scope.ts";

/** Maximum number of dead letters redriven by one request. */
const MAX_REDRIVE = 1000;

const filterFields = {
  command: z
    .enum(commands.map((c) => c.name))
    .optional()
    .meta({ description: "The command's path." }),
  destination: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, "is not the id of a destination")
    .optional()
    .meta({ description: "List events that could not be delivered to this destination. Without it: commands." }),
  event: z.string().min(1).optional().meta({ description: "The event's name; with `destination`." }),
  unit: z.string().min(1).optional(),
  incident: z.string().min(1).optional(),
  state: z.enum(REDRIVABLE_STATES).optional().meta({
    description:
      "Without it, all but `unconfirmed`: the CAD received those and may have handled them. Redriving a relay or a transport may show it twice.",
  }),
  reason: z.string().min(1).optional().meta({ description: 'Substring of "state: reason", such as "expired".' }),
  since: instant.optional().meta({ description: "Accepted at this time or later." }),
};

const HELD =
  "true: only those that hold their place (HOLD), so that commands of the same unit and incident wait; false: only others.";

export const listQuery = z.strictObject({
  ...filterFields,
  held: z.stringbool({ error: "must be true or false" }).optional().meta({ description: HELD }),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,16}$/, "is not a cursor of this list")
    .transform(Number)
    .optional()
    .meta({ description: "`next` of the previous page." }),
});

export const redriveBody = requestObject({
  ...filterFields,
  held: z.boolean().optional().meta({ description: HELD }),
  limit: z.int().min(1).max(MAX_REDRIVE).default(MAX_REDRIVE),
  dry_run: z.boolean().default(false).meta({ description: "Report what would be redriven without doing it." }),
});

export const revealBody = requestObject({
  reason: z.string().trim().min(5).max(200).meta({ description: "Why it must be read: recorded in the audit trail." }),
});

/** Selects the outbox of an id. */
export const outboxQuery = z.strictObject({ destination: filterFields.destination });

type Given = { [Field in keyof typeof filterFields]?: string | undefined } & { held?: boolean | undefined };
const toFilter = ({ since, held, ...rest }: Given): DeadFilter => ({
  held,
  kind: rest.command ?? rest.event,
  unit: rest.unit,
  incident: rest.incident,
  reason: rest.reason,
  state: REDRIVABLE_STATES.find((state) => state === rest.state),
  since: microsOf(since),
});

export const revealAnswer = z.object({ command_id: z.string(), payload: z.unknown() });
export const deadLetterPage = pageOf(
  "dead_letters",
  receipt.extend({
    recent_attempts: z
      .array(attempt)
      .optional()
      .meta({ description: "With `destination`: the last 20 attempts, the oldest first." }),
  }),
);

const redrivenLetter = z.object({
  command_id: z.string(),
  redriven_as: z.string().nullable().meta({ description: "The new command; null in a dry run." }),
  accepted_at: z.string(),
  overtaken_by: z
    .string()
    .nullable()
    .meta({ description: "A later command that sets the same value: a redrive would set the older value." }),
});
const unreadableLetter = z.object({ command_id: z.string(), reason: z.string() });
export const redriveAnswer = z.object({
  dry_run: z.boolean(),
  count: z.int(),
  more: z.boolean().meta({ description: "More may match the filter: repeat the request." }),
  redriven: z.array(redrivenLetter),
  unreadable: z
    .array(unreadableLetter)
    .meta({ description: "Those that were not redriven because their payload cannot be opened, with the reason." }),
});

/** Later timestamps of an incident may be other columns: nothing is known about overtaking. */
function overtakenBy({ kind, overtakenBy: later }: MessageRecord): string | null {
  const command = commandNamed(kind);
  return command?.effect === "sets" && !command.slots ? (later ?? null) : null;
}

const badReason = (errors: WrongField[]) =>
  new Problem("invalid-body", "The reason is missing or invalid.", { errors });
const badFilter = (errors: WrongField[]) => new Problem("invalid-body", "The filter is invalid.", { errors });
const noSuchLetter = (id: string) => noSuch("dead letter", id, "; it may have been redriven or discarded");

export interface DeadLetterDeps {
  backend: Backend;
  authenticate: Authenticate;
  newId: () => string;
  basePath: string;
  /** Middleware that records an action, a miss, and a read, in the audit trail. */
  noteAction: MiddlewareHandler<CallerEnv>;
  recordMiss: MiddlewareHandler<CallerEnv>;
  noted: MiddlewareHandler<CallerEnv>;
  /** Limits how many lists a subject reads concurrently. */
  limitReads: MiddlewareHandler<CallerEnv>;
}

/** Commands that were not delivered: to list, redrive or discard. Requires the role admin. */
export function serveDeadLetters(app: Hono<CallerEnv>, deps: DeadLetterDeps): void {
  const { backend, authenticate, newId, basePath, noteAction, recordMiss, noted } = deps;
  const allow = (endpoint: GatedEndpoint) => requireAccess(authenticate, endpoint);

  async function readLetter(caller: Caller, id: string, destination: string | undefined) {
    const record = await backend.read(id, destination);
    if (!record || !isRedrivable(record.state) || !mayTouch(caller, record.keys)) throw noSuchLetter(id);
    return record;
  }

  /**
   * Redrives a letter as a new command: in its place if it holds it, else at the end of its queues. For a letter that was
   * redriven before, returns that command. Returns a reason if its payload cannot be opened.
   */
  async function redrive(
    caller: Caller,
    id: string,
    note: AuditNote,
    destination: string | undefined,
  ): Promise<{ as: string; inPlace: boolean } | { reason: string }> {
    const record = await readLetter(caller, id, destination);
    const inPlace = record.held;
    if (record.redrivenAs) return { as: record.redrivenAs, inPlace };
    const appended = await backend.redrive(id, newId(), note, destination);
    if (!appended || appended.outcome === "gone") throw noSuchLetter(id);
    if (appended.outcome === "moved")
      throw new Problem(
        "other-cad",
        "Its unit was moved to another CAD: read it here, and send the command again there.",
      );
    if (appended.outcome === "unreadable") return { reason: appended.reason };
    if (!("id" in appended)) throw new Problem("redis-full", "The limit of waiting commands (MAX_BACKLOG) is reached.");
    return { as: appended.id, inPlace };
  }

  const query = parseQuery(listQuery);
  const outboxFor = parseQuery(outboxQuery);
  app.get("/dead-letters", allow("GET /dead-letters"), deps.limitReads, query, noted, async (c) => {
    const { limit, cursor, destination, ...given } = c.req.valid("query");
    await requireKnown(backend, destination);
    const asked = { filter: toFilter(given), limit, first: "newest", after: cursor } as const;
    const page = await backend.listDead(asked, destination);
    const letters = page.letters.flatMap((letter, i) => {
      const attempts = page.attempts && { recent_attempts: page.attempts[i] ?? [] };
      return mayTouch(c.get("caller"), letter.keys) ? [{ ...toReceipt(letter), ...attempts }] : [];
    });
    return c.json({ dead_letters: letters, next: page.next?.toString() ?? null });
  });

  app.post(
    "/dead-letters/redrive",
    allow("POST /dead-letters/redrive"),
    jsonBody(redriveBody, badFilter),
    noteAction,
    async (c) => {
      const { limit, dry_run: dryRun, destination, ...given } = c.req.valid("json");
      await requireKnown(backend, destination);
      // Oldest first: within each unit and incident they are redriven in order of acceptance.
      const { letters, next } = await backend.listDead(
        { filter: toFilter(given), limit, first: "oldest" },
        destination,
      );
      const note = noteOf(c, basePath);
      const redriven: z.input<typeof redrivenLetter>[] = [];
      const unreadable: z.input<typeof unreadableLetter>[] = [];
      for (const letter of letters) {
        const { id, acceptedAt, keys } = letter;
        if (!mayTouch(c.get("caller"), keys)) continue;
        const again = dryRun ? { as: null } : await redrive(c.get("caller"), id, note, destination);
        if ("reason" in again) unreadable.push({ command_id: id, reason: again.reason });
        else
          redriven.push({
            command_id: id,
            redriven_as: again.as,
            accepted_at: toIso(acceptedAt),
            overtaken_by: overtakenBy(letter),
          });
      }
      const more = next !== undefined;
      return c.json({ dry_run: dryRun, count: redriven.length, more, redriven, unreadable }, dryRun ? 200 : 202);
    },
  );

  app.get("/dead-letters/:id", allow("GET /dead-letters/{id}"), outboxFor, noted, async (c) =>
    c.json(toReceipt(await readLetter(c.get("caller"), c.req.param("id"), c.req.valid("query").destination))),
  );

  const redriveOne = allow("POST /dead-letters/{id}/redrive");
  app.post("/dead-letters/:id/redrive", redriveOne, outboxFor, noBody, noteAction, async (c) => {
    const { destination } = c.req.valid("query");
    const again = await redrive(c.get("caller"), c.req.param("id"), noteOf(c, basePath), destination);
    if ("reason" in again) throw new Problem("unreadable-payload", `It was not redriven: ${again.reason}.`);
    const id = again.as;
    const message = again.inPlace
      ? "Accepted as a new command, in the place of the dead letter. What waited behind it follows."
      : "Accepted as a new command, at the end of its per-key queues.";
    const answer = { success: true, message, command_id: id, status: "queued" };
    return c.json(answer, 202, destination === undefined ? { Location: `${basePath}/commands/${id}` } : {});
  });

  // Recorded with the reason before it is returned: no payload is read without an audit entry.
  const revealOne = allow("POST /dead-letters/{id}/reveal");
  app.post("/dead-letters/:id/reveal", revealOne, outboxFor, jsonBody(revealBody, badReason), recordMiss, async (c) => {
    const { destination } = c.req.valid("query");
    const { reason } = c.req.valid("json");
    const { id, keys } = await readLetter(c.get("caller"), c.req.param("id"), destination);
    const note = noteOf(c, basePath);
    await backend.note({ ...note, about: [...keys, `reason:${oneLine(reason)}`] }, "done", id);
    const revealed = await backend.reveal(id, destination);
    if (!revealed) throw noSuchLetter(id);
    if ("unreadable" in revealed) throw new Problem("unreadable-payload", `It is not shown: ${revealed.unreadable}.`);
    return c.json({ command_id: id, payload: JSON.parse(revealed.payload) as unknown });
  });

  app.delete("/dead-letters/:id", allow("DELETE /dead-letters/{id}"), outboxFor, noteAction, async (c) => {
    const { destination } = c.req.valid("query");
    const { id } = await readLetter(c.get("caller"), c.req.param("id"), destination);
    if (!(await backend.discardDead(id, destination))) throw noSuchLetter(id);
    return c.body(null, 204);
  });
}
