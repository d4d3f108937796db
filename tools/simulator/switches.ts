import { z } from "zod";
import type { Random } from "./random.ts";

const amount = z
  .union([z.number().min(0).max(1), z.strictObject({ next: z.int().min(0).max(1_000_000_000) })], {
    error: 'must be a fraction from 0 to 1, or { "next": N } for the next N commands',
  })
  .readonly();
const milliseconds = z.number().min(0).max(600_000);

const shape = {
  /** Commands that the CAD can't take now. Modern: nacked as retryable. Legacy: never an echo. */
  refuse: amount,
  /** Commands that the CAD does not take for good. Modern: nacked. Legacy: never an echo. */
  reject: amount,
  /** Commands that are handled, but whose ack gets lost. Joins and leaves keep theirs. */
  dropAcks: amount,
  /** Commands that are handled, but whose echo gets lost. */
  dropEchoes: amount,
  /** How long a handler takes, at random between the two; under 1 ms is "at once". */
  delayMs: z
    .strictObject({ min: milliseconds, max: milliseconds })
    .refine(({ min, max }) => min <= max, "min must not be above max")
    .readonly(),
  /** The process hangs: it reads nothing and writes nothing, while its TCP connections stay open. */
  hang: z.boolean(),
  /** The handshake refuses every token. */
  refuseToken: z.boolean(),
  /** `fastapi:authenticate` is answered with `success: false`, whatever the token. */
  authFails: z.boolean(),
  /** `fastapi:authenticate` is never answered. */
  authSilent: z.boolean(),
  /** Handlers fail as the real CAD's do: ids must be UUIDs, incidents known, times and time columns valid. */
  strict: z.boolean(),
  /**
   * The database is down while the process lives. What it would have written is lost without a word (modern: nacked as retryable).
   * A legacy CAD relays as ever.
   */
  databaseDown: z.boolean(),
  /** The units that the database has. An update for any other changes nothing, and is echoed all the same. */
  units: z.union([z.literal("any"), z.array(z.string()).max(10_000).readonly()]),
  /** A `unit:status` without an incident is stored and not echoed, as in the real CAD: its timeline row fails after the unit's. */
  statusNeedsIncident: z.boolean(),
  /** Events that are stored and never echoed, as by the real CAD on a schema that does not fit its handlers. */
  neverEchoed: z.array(z.string()).max(100).readonly(),
  /** What `events:replay` gets from a modern CAD; a legacy one never answers it. */
  replay: z.enum(["answers", "silent", "refuses", "malformed"]),
  /** Socket.io's connection state recovery: while it is off, a client that disconnects is forgotten. */
  remembersSessions: z.boolean(),
  /** How many broadcasts a modern CAD remembers; what is beyond is forgotten at once. */
  remembers: z.int().min(0).max(1_000_000),
};

const switchesSchema = z.strictObject(shape);
/** Any of the switches: what the HTTP control and the environment take. */
export const switchesPatchSchema = switchesSchema.partial();

export type Switches = z.infer<typeof switchesSchema>;
/** A fraction of the commands, at random, or the next so many of them. */
export type Amount = Switches["refuse"];
/** Those of the switches that are to change; one that is undefined stays. */
export type SwitchesPatch = z.infer<typeof switchesPatchSchema>;

const DEFAULTS: Switches = {
  refuse: 0,
  reject: 0,
  dropAcks: 0,
  dropEchoes: 0,
  delayMs: { min: 0.2, max: 5 },
  hang: false,
  refuseToken: false,
  authFails: false,
  authSilent: false,
  strict: false,
  databaseDown: false,
  units: "any",
  statusNeedsIncident: false,
  neverEchoed: [],
  replay: "answers",
  remembersSessions: true,
  remembers: 20_000,
};

/**
 * The switches as an object to assign to (`switches.hang = true`): every assignment is checked, throws if it is
 * wrong, and passed to `onChange`.
 */
export function createSwitches(initial: SwitchesPatch, onChange: () => void): Switches {
  const values: Switches = { ...DEFAULTS };
  const switches = new Proxy(values, {
    set(target, name, value: unknown) {
      const patch = switchesPatchSchema.safeParse({ [name]: value });
      if (!patch.success) throw new TypeError(`switch ${String(name)}: ${z.prettifyError(patch.error)}`);
      Object.assign(target, patch.data);
      onChange();
      return true;
    },
  });
  setSwitches(switches, initial);
  return switches;
}

/** Changes several switches. */
export function setSwitches(switches: Switches, patch: SwitchesPatch): void {
  for (const [name, value] of Object.entries(patch)) {
    if (value !== undefined) Object.assign(switches, { [name]: value });
  }
}

/** Whether this command is one of those that the switch is for; one of "the next N" is used up by asking. */
export function take(
  switches: Switches,
  name: "refuse" | "reject" | "dropAcks" | "dropEchoes",
  random: Random,
): boolean {
  const wanted = switches[name];
  if (typeof wanted === "number") return wanted > 0 && random() < wanted;
  if (wanted.next === 0) return false;
  switches[name] = { next: wanted.next - 1 };
  return true;
}
