import type { Edit } from "./hooks.ts";

/** A text of a file, and what becomes of it. */
type Change = readonly [file: string, from: string, to: string];

/** A bug that is seeded into the source. Most of the protocol's guards stand twice: then a bug is in both. */
interface Mutant {
  what: string;
  changes: readonly Change[];
  /** The steps and faults that are most likely to reveal it: schedules for these come first in a search. */
  near?: readonly string[];
}

const LUA = "shared/outbox/lua.ts";
const APPEND = "shared/outbox/append.ts";
const CLAIM = "shared/outbox/claim.ts";
const SETTLE = "shared/outbox/settle.ts";
const EXCHANGE = "shared/outbox/exchange.ts";
const LEASE = "worker/runtime/lease.ts";
const DELIVER = "worker/commands/deliver.ts";

const OUTBOX = "shared/outbox/outbox.ts";
/** Its own epoch counts as the newest, and every later one as a mistake. */
const OLDER =
  "local function mine(other) return other and tonumber(string.match(other, '^%d+')) >= tonumber(string.match(token, '^%d+')) end\n";
const MAY_EMIT: Change = ["worker/delivery/claim.ts", "if (!options.mayEmit()) throw new NotOwner();", ""];
const NO_CLAIM_CHECK: Change = [CLAIM, "if not owner then return {'not-owner'} end", ""];
const FINAL_AGAIN: Change = [SETTLE, "if not is_final(was[2]) then", "if true then"];

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "lease-not-checked": {
    what: "neither a claim nor the worker right before the emit checks that the lease is this worker's",
    changes: [
      NO_CLAIM_CHECK,
      [EXCHANGE, "local owner, was_last = who[1] == token, who[2] == token", "local owner, was_last = true, true"],
      MAY_EMIT,
    ],
    near: ["freeze"],
  },
  "lease-taken-from-its-holder": {
    what: "whose lease it is is compared the wrong way round: anybody but the holder may take it",
    changes: [
      [LEASE, "string.match(held, '^%d+:(.*)$') ~= args.instance", "string.match(held, '^%d+:(.*)$') == args.instance"],
    ],
  },
  "renewal-without-epoch": {
    what: "a renewal does not compare the epoch: a worker that was frozen takes the lease back from the next one",
    changes: [
      [LEASE, "if redis.call('GET', owner) ~= args.token then return 0 end", "redis.call('SET', owner, args.token)"],
    ],
    near: ["freeze", "leaseRenew"],
  },
  "settle-before-emit": {
    what: "a command is settled before it is emitted",
    changes: [
      [
        DELIVER,
        "const outcome = await traced(",
        'await settleSurely(outbox, { id, state: "confirmed", reason: "", by: "ack" }, message, options);\n    const outcome = await traced(',
      ],
    ],
  },
  "runnable-in-second-step": {
    what: "what a settlement makes runnable is in its reply only, and noted nowhere",
    changes: [[LUA, "redis.call('ZADD', RUNNABLE, 'NX', now, head)", ""]],
    near: ["outboxSettle", "outboxExchange"],
  },
  "settled-twice": {
    what: "a repeated settlement is a settlement once more",
    changes: [FINAL_AGAIN],
    near: ["outboxSettle", "outboxExchange"],
  },
  "head-removed-twice": {
    what: "a repeated settlement removes the head of the queues, whatever that is by then",
    changes: [
      FINAL_AGAIN,
      [LUA, "else redis.call('LREM', queue(key), 1, id) end", "else redis.call('LPOP', queue(key)) end"],
    ],
    near: ["outboxSettle", "outboxExchange"],
  },
  "head-not-checked": {
    what: "a command is taken for runnable wherever it stands in its queues",
    changes: [
      [
        APPEND,
        "if redis.call('RPUSH', queue(key), id) > 1 then runnable = 0 end",
        "redis.call('RPUSH', queue(key), id)",
      ],
      [CLAIM, "if not first_everywhere(id, keys) then return {'waiting'} end", ""],
    ],
  },
  "first-in-one-queue": {
    what: "a command with two keys is runnable when it is first in one of its queues",
    changes: [
      [
        LUA,
        "  for _, key in ipairs(keys) do\n    if redis.call('LINDEX', queue(key), 0) ~= id then return false end\n  end\n  return true",
        "  return redis.call('LINDEX', queue(keys[1]), 0) == id",
      ],
    ],
  },
  "latest-wins-over-sent": {
    what: "a newer value takes the place of one that was sent already",
    changes: [
      [APPEND, "if not tail or redis.call('ZSCORE', RUNNABLE, tail) then", "if not tail then"],
      [APPEND, "and was[3] == 'queued' and tail", "and tail"],
    ],
  },
  "resend-after-newer": {
    what: "a command without an answer is settled first and sent again later",
    changes: [
      [
        DELIVER,
        "return unanswered(id, message, pass, value);",
        'setTimeout(() => void options.send(delivery, prepared.needsRoom), 400);\n        return settle({ id, state: "unconfirmed", reason: "no answer", by: "barrier" }, message);',
      ],
    ],
    near: ["frame emit"],
  },
  "given-up-at-disconnect": {
    what: "a command in flight when the connection breaks is settled as received",
    changes: [
      [
        DELIVER,
        "return disconnected(id, message, pass);",
        'return settle({ id, state: "received", reason: "", by: "barrier" }, message);',
      ],
    ],
    near: ["frame emit"],
  },
  "receipt-as-write": {
    what: "the proof of receipt is reported as the proof of a write",
    changes: [
      [
        DELIVER,
        '{ id, state: "unconfirmed", reason, by: "barrier" }',
        '{ id, state: "confirmed", reason, by: "echo" }',
      ],
    ],
    near: ["frame emit"],
  },
  "audit-outside-append": {
    what: "the audit entry is written in a separate step, after the append",
    changes: [
      [APPEND, "audit(args.note, 'accepted', id)", ""],
      [
        OUTBOX,
        "return parseAppended(m.id, reply);",
        'const appended = parseAppended(m.id, reply);\n      if (appended.outcome === "accepted") await redis.xadd(`${keys.base}:audit`, "*", "outcome", "accepted", "command", m.id);\n      return appended;',
      ],
    ],
    near: ["outboxAppend"],
  },
  "append-twice": {
    what: "the idempotency key is not kept",
    changes: [
      [
        APPEND,
        "if args.idempotencyKey ~= id then redis.call('SET', idempotency_key",
        "if false then redis.call('SET', idempotency_key",
      ],
    ],
    near: ["http answer", "http request"],
  },
  "charge-not-given-back": {
    what: "what a settled command took of its subject's share is not given back",
    changes: [[LUA, "  release(id)\n", ""]],
  },
  "journal-cursor-before-delivery": {
    what: "a handler's cursor is saved as far as the journal was read, whatever is still being worked on",
    changes: [
      [
        "worker/events/consumer.ts",
        "first === undefined ? position : idBefore(first)",
        "first === undefined ? position : position",
      ],
    ],
    near: ["consumerNote"],
  },
  "journal-batch-repeated": {
    what: "a batch whose answer was lost is written once more",
    changes: [
      [
        "shared/journal/write-scripts.ts",
        "if prior[1] == args.token and tonumber(prior[2]) >= args.batch then",
        "if false then",
      ],
    ],
    near: ["journalWrite"],
  },
  "gap-in-silence": {
    what: "what the CAD sent while the connection was down is neither recovered nor recorded as a gap",
    changes: [["worker/events/recovery.ts", "else await recoverSince(", "else if (false) await recoverSince("]],
    near: ["frame event", "journalComplete"],
  },
  "wake-up-in-second-step": {
    what: "that a command is ready is recorded in a separate step, after the append",
    changes: [
      [LUA, "redis.call('ZADD', READY, 'NX', now, id)", ""],
      [
        OUTBOX,
        "return parseAppended(m.id, reply);",
        'const appended = parseAppended(m.id, reply);\n      if (appended.outcome === "accepted" && appended.runnable) await redis.zadd(`${keys.base}:ready`, String(Date.now() * 1000), m.id);\n      return appended;',
      ],
    ],
  },
  "sleeps-without-look": {
    what: "the worker falls asleep without looking whether something is ready",
    changes: [
      [EXCHANGE, "while owner and #taken < args.take", "while owner and not args.maySleep and #taken < args.take"],
      [
        EXCHANGE,
        "local left = redis.call('ZCARD', READY)",
        "local left = args.maySleep and 0 or redis.call('ZCARD', READY)",
      ],
    ],
  },
  "epoch-compared-the-wrong-way-round": {
    what: "whose token has the lower epoch is taken for the owner: one that lost the lease to the next",
    changes: [
      [
        EXCHANGE,
        "local owner, was_last = who[1] == token, who[2] == token",
        `${OLDER}local owner, was_last = mine(who[1]), mine(who[2])`,
      ],
      [
        CLAIM,
        "local owner = redis.call('GET', LEASE) == token",
        `${OLDER}local owner = mine(redis.call('GET', LEASE))`,
      ],
      [
        SETTLE,
        "local was_last = redis.call('GET', OWNER) == token",
        `${OLDER}local was_last = mine(redis.call('GET', OWNER))`,
      ],
      MAY_EMIT,
    ],
    near: ["freeze"],
  },
  "webhook-cursor-before-delivery": {
    what: "a destination's cursor is saved before the event is in its outbox",
    changes: [
      [
        "worker/destinations/handler.ts",
        "if (rule) return () => send(entry, rule, entry.id);",
        "if (rule) return async () => void send(entry, rule, entry.id).catch(() => undefined);",
      ],
    ],
    near: ["outboxAppend"],
  },
  "webhook-settled-before-post": {
    what: "a webhook is settled before it is posted",
    changes: [
      [
        "worker/destinations/deliver.ts",
        "const answer = await options.send(begun.text, span.traceparent);",
        'await settleSurely(outbox, { id, state: "confirmed", reason: "", by: "response:204" }, message, options);\n    const answer = await options.send(begun.text, span.traceparent);',
      ],
    ],
    near: ["webhook request", "webhook connect"],
  },
  "webhook-failure-as-success": {
    what: "whatever a service answers counts as delivered",
    changes: [
      ["worker/destinations/send.ts", "if (status >= 200 && status < 300) return", "if (status >= 200) return"],
    ],
    near: ["webhook request"],
  },
};

/** Puts a bug into the code as it is loaded. `check` throws if a text was not there once: it would test nothing. */
export function editOf(name: string): { edit: Edit; check(): void } {
  const mutant = MUTANTS[name];
  if (!mutant) throw new Error(`there is no mutant ${name}`);
  const made = new Set<Change>();
  return {
    edit(file, source) {
      const changes = mutant.changes.filter(([changed]) => changed === file);
      if (changes.length === 0) return undefined;
      return changes.reduce((text, change) => {
        const [, from, to] = change;
        if (text.split(from).length === 2) made.add(change);
        return text.replace(from, () => to);
      }, source);
    },
    check() {
      for (const change of mutant.changes)
        if (!made.has(change))
          throw new Error(
            `mutant ${name}: ${change[0]} does not have its text once; adapt tools/simulate/mutants.ts: ${change[1]}`,
          );
    },
  };
}
