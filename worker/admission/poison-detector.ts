/**
 * Finds the command over which the CAD breaks the connection.
 *
 * | state | event | next |
 * | --- | --- | --- |
 * | none | the connection broke with it in flight | suspect |
 * | suspect | it broke again | poison once it broke often enough, and often enough alone; else suspect |
 * | | any answer | none |
 *
 * Alone: no other suspect was in flight. Suspects are therefore sent one at a time.
 */
export interface Suspicion {
  readonly breaks: number;
  /** How often it was the only suspect in flight. */
  readonly alone: number;
}

export type Suspects = ReadonlyMap<string, Suspicion>;

/** After how many broken connections a command is poison, and how often alone among the suspects. */
const POISON_BREAKS = 3;
const POISON_ALONE = 2;
/** Up to this number of suspects are sent one at a time after their first break; of more, only those over which it broke again. */
const FEW_SUSPECTS = 32;

/** `poison`: the number of broken connections, if that is certain now. It is no suspect any more then. */
export function afterBreak(suspects: Suspects, id: string, alone: boolean): { suspects: Suspects; poison?: number } {
  const before = suspects.get(id) ?? { breaks: 0, alone: 0 };
  const suspicion = { breaks: before.breaks + 1, alone: before.alone + (alone ? 1 : 0) };
  const isPoison = suspicion.breaks >= POISON_BREAKS && suspicion.alone >= POISON_ALONE;
  if (isPoison) return { suspects: acquit(suspects, id), poison: suspicion.breaks };
  return { suspects: new Map(suspects).set(id, suspicion) };
}

export function acquit(suspects: Suspects, id: string): Suspects {
  if (!suspects.has(id)) return suspects;
  const rest = new Map(suspects);
  rest.delete(id);
  return rest;
}

/** True if it is sent only while no other such suspect is. Many, as after a restart under load, first go together once more. */
export const isSentAlone = (suspects: Suspects, id: string): boolean =>
  (suspects.get(id)?.breaks ?? 0) > (suspects.size > FEW_SUSPECTS ? 1 : 0);
