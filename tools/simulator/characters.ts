export const CHARACTERS = ["legacy", "modern"] as const;
export type CharacterName = (typeof CHARACTERS)[number];

/** How one CAD differs from another; everything else they have in common. */
export interface Character {
  name: CharacterName;
  /** Answers every event that it handles, once it has handled it. */
  acks: boolean;
  /** Its echoes keep what was sent beyond the contract, the context with the command's id above all. */
  keepsExtraKeys: boolean;
  /** Does not handle a command id twice: it acks the repeat, and applies and broadcasts nothing. */
  recognisesRepeats: boolean;
  /** Has handlers for `transport:completed` and `metrics:updated`. */
  handlesEverything: boolean;
  /** Stores what a legacy CAD only relays. */
  storesRelays: boolean;
  /** Takes a payload that is no object where it is passed on as it is, and dies of null where it looks inside. */
  trustsPayloads: boolean;
  /** Socket.io's connection state recovery: milliseconds, 0 for none. */
  recoveryMs: number;
  /** Gives every broadcast an id and a time, and sends again what was missed: docs/cad-protocol.md. */
  replays: boolean;
}

export const characters: Record<CharacterName, Character> = {
  /** The CAD that there is, as measured. */
  legacy: {
    name: "legacy",
    acks: false,
    keepsExtraKeys: false,
    recognisesRepeats: false,
    handlesEverything: false,
    storesRelays: false,
    trustsPayloads: true,
    recoveryMs: 0,
    replays: false,
  },
  /** The CAD that the technical documentation promises. */
  modern: {
    name: "modern",
    acks: true,
    keepsExtraKeys: true,
    recognisesRepeats: true,
    handlesEverything: true,
    storesRelays: true,
    trustsPayloads: false,
    recoveryMs: 120_000,
    replays: true,
  },
};
