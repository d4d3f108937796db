import { z } from "zod";
import type { Random } from "./random.ts";

const amount = z
  .union([z.number().min(0).max(1), z.strictObject({ next: z.int().min(0).max(1_000_000_000) })], {
    error: 'must be a fraction from 0 to 1, or { "next": N } for the next N commands',
  })
  .readonly();
const milliseconds = z.number().min(0).max(600_000);

const shape = {
  /** Commands refused for now. Modern: nacked as retryable. Legacy: no echo. */
  refuse: amount,
  /** Commands rejected for good. Modern: nacked. Legacy: no echo. */
  reject: amount,
  /** Commands that are handled, but whose ack is lost. Joins and leaves keep theirs. */
  dropAcks: amount,
  /** Commands that are handled, but whose echo is lost. */
  dropEchoes: amount,
  /** Handler duration in ms, random between the two; below 1 ms means immediately. */
  delayMs: z
    .strictObject({ min: milliseconds, max: milliseconds })
    .refine(({ min, max }) => min <= max, "min must not be above max")
    .readonly(),
  /** The process hangs: it reads and writes nothing, while its TCP connections stay open. */
  hang: z.boolean(),
  /** The handshake refuses every token. */
  refuseToken: z.boolean(),
  /** `fastapi:authenticate` is answered with `success: false`, whatever the token. */
  authFails: z.boolean(),
  /** `fastapi:authenticate` is never answered. */
  authSilent: z.boolean(),
  /** Handlers fail like the real CAD's: ids must be UUIDs, incidents must exist, times and time columns must be valid. */
  strict: z.boolean(),
  /**
   * The database is down while the process runs. Writes are silently lost (modern: nacked as retryable).
   * A legacy CAD keeps relaying.
   */
  databaseDown: z.boolean(),
  /** The units in the database. An update for any other unit changes nothing, but is echoed. */
  units: z.union([z.literal("any"), z.array(z.string()).max(10_000).readonly()]),
  /** A `unit:status` without an incident is stored but not echoed, as in the real CAD: its timeline row fails after the unit's. */
  statusNeedsIncident: z.boolean(),
  /** Events that are stored but never echoed, as by the real CAD when its schema does not match its handlers. */
  neverEchoed: z.array(z.string()).max(100).readonly(),
  /** How a modern CAD answers `events:replay`; a legacy one never does. */
  replay: z.enum(["answers", "silent", "refuses", "malformed"]),
  /** Socket.io's connection state recovery; while off, a client that disconnects is forgotten. */
  remembersSessions: z.boolean(),
  /** How many broadcasts a modern CAD remembers; older ones are dropped at once. */
  remembers: z.int().min(0).max(1_000_000),
};

const switchesSchema = z.strictObject(shape);
/** Any subset of the switches: the format of the HTTP control API and the environment. */
export const switchesPatchSchema = switchesSchema.partial();

export type Switches = z.infer<typeof switchesSchema>;
/** A fraction of the commands, at random, or the next N of them. */
export type Amount = Switches["refuse"];
/** The switches to change; undefined ones stay. */
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
 * The switches as an object to assign to (`switches.hang = true`): every assignment is validated (an invalid one
 * throws) and reported to `onChange`.
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

export function setSwitches(switches: Switches, patch: SwitchesPatch): void {
  for (const [name, value] of Object.entries(patch)) {
    if (value !== undefined) Object.assign(switches, { [name]: value });
  }
}

/** Whether the switch applies to this command; decrements "the next N". */
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
