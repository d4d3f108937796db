import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { receipt, toReceipt } from "../../shared/commands/receipt.ts";
import { commands } from "../../shared/commands/table.ts";
import { STATES } from "../../shared/outbox/states.ts";
import { microsOf, secondsBetween, toIso } from "../../shared/util/time.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import { incidentKey, type OrderingKey, unitKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat } from "../backend/health-calls.ts";
import type { FoundCommand } from "../backend/command-calls.ts";
import type { CallerEnv } from "../http/caller.ts";
import { noSuch, Problem } from "../http/problem.ts";
import { pageOf } from "../http/page.ts";
import { noQuery, parseQuery } from "../http/query.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import { mayTouch } from "../middleware/scope.ts";
import { whyHeadWaits } from "./queue-head.ts";

/** Maximum number of commands listed per queue. */
const SHOWN = 100;
const id = z.string().min(1).max(200);

export const commandQuery = z.strictObject({
  unit: id.optional(),
  incident: id.optional(),
  command: z
    .enum(commands.map((c) => c.name))
    .optional()
    .meta({ description: "The command's path." }),
  state: z.enum(STATES).optional().meta({
    description:
      "With `queued` or `sent`, all commands in this state are searched. Otherwise the audit trail is searched, which has one entry an hour for positions and metrics of each user and unit.",
  }),
  since: instant.optional().meta({ description: "Accepted at this time or later." }),
  until: instant.optional().meta({ description: "Accepted at this time or before." }),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,16}(-\d{1,16})?$/, "is not a cursor of this list")
    .optional()
    .meta({ description: "`next` of the previous page." }),
});

export const foundCommand = z.object({
  command_id: z.string(),
  at: z.string().meta({ description: "When it was accepted." }),
  who: z.string().nullable().meta({ description: "The subject of the token." }),
  role: z.string().nullable(),
  action: z.string().meta({ description: "Method and path: a command, or the redrive of a dead letter." }),
  about: z.array(z.string()).meta({ description: "The unit and incident concerned." }),
  receipt: receipt.nullable().meta({ description: "null if it is no longer kept." }),
});

export const queueSummary = z.object({
  key: z.string().meta({ description: "The unit or incident whose order it keeps.", example: "unit:M12" }),
  waiting: z.int(),
  oldest_age_seconds: z.number(),
  held_by: z.string().nullable().meta({
    description: "The dead letter that holds this queue (HOLD): the commands behind it wait until it is handled.",
  }),
});
export const queueContent = z.object({
  key: z.string().meta({ example: "unit:M12" }),
  waiting: z.int(),
  why: z.string().nullable().meta({ description: "Why its head waits, in one sentence; null if it is empty." }),
  commands: z.array(receipt).meta({
    description: "The first 100, in order. A dead letter that holds the queue is the first of them, with `held`.",
  }),
});

export const commandPage = pageOf("commands", foundCommand);
export const queueList = z.object({
  queues: z.array(queueSummary),
  more: z.boolean().meta({ description: "More commands wait than were looked at." }),
});

const toFoundResponse = ({ id: command, at, user, role, action, about, record }: FoundCommand) => ({
  command_id: command,
  at: toIso(at),
  who: user || null,
  role: role || null,
  action,
  about: [...about],
  receipt: record ? toReceipt(record) : null,
});

/** The ordering key of a queue in a path. Throws a Problem for an invalid one. */
function toKey(text: string): OrderingKey {
  if (/^(unit|incident):.{1,200}$/s.test(text) || text === "metrics" || text === "other") return text as OrderingKey;
  throw noSuch("queue", text, ": a queue is named unit:ID, incident:ID, metrics or other");
}

export interface CommandSearchDeps {
  backend: Pick<Backend, "findCommands" | "listQueues" | "readQueue" | "lastHeartbeat">;
  authenticate: Authenticate;
  limitReads: MiddlewareHandler<CallerEnv>;
  /** Middleware that records the read. */
  noted: MiddlewareHandler<CallerEnv>;
  now: () => Date;
}

/** Search for commands, and the queues of units and incidents. */
export function serveCommandSearch(app: Hono<CallerEnv>, deps: CommandSearchDeps): void {
  const { backend, authenticate, limitReads, noted, now } = deps;

  app.get(
    "/commands",
    requireAccess(authenticate, "GET /commands"),
    limitReads,
    parseQuery(commandQuery),
    noted,
    async (c) => {
      const { unit, incident, command, state, since, until, limit, cursor } = c.req.valid("query");
      const keys = [...(unit ? [unitKey(unit)] : []), ...(incident ? [incidentKey(incident)] : [])];
      const times = { since: microsOf(since), until: microsOf(until) };
      const page = await backend.findCommands({ keys, kind: command, state, ...times, limit, after: cursor });
      const found = page.commands.filter(({ about }) => mayTouch(c.get("caller"), about));
      return c.json({ commands: found.map(toFoundResponse), next: page.next ?? null });
    },
  );

  app.get("/queues", requireAccess(authenticate, "GET /queues"), limitReads, noQuery, noted, async (c) => {
    const { queues, more } = await backend.listQueues();
    const at = now().getTime() * 1000;
    const seen = queues.filter(({ key }) => mayTouch(c.get("caller"), [key]));
    return c.json({
      queues: seen.map(({ key, waiting, oldest, held }) => ({
        key,
        waiting,
        oldest_age_seconds: Math.max(0, secondsBetween(oldest, at)),
        held_by: held ?? null,
      })),
      more,
    });
  });

  app.get("/queues/:id", requireAccess(authenticate, "GET /queues/{id}"), noQuery, noted, async (c) => {
    const key = toKey(c.req.param("id"));
    if (!mayTouch(c.get("caller"), [key])) throw new Problem("not-found", "There is no such queue.");
    const [queue, heard] = await Promise.all([backend.readQueue(key, SHOWN), backend.lastHeartbeat()]);
    const seen = queue.commands.filter(({ keys }) => mayTouch(c.get("caller"), keys));
    return c.json({
      key,
      waiting: queue.waiting,
      why: whyHeadWaits(queue, trustedHeartbeat(heard)),
      commands: seen.map(toReceipt),
    });
  });
}
