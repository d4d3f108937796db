export const CHARACTERS = ["legacy", "modern"] as const;
export type CharacterName = (typeof CHARACTERS)[number];

/** The ways in which one CAD differs from another; everything else is common. */
export interface Character {
  name: CharacterName;
  /** Acks every event after handling it. */
  acks: boolean;
  /** Its echoes keep fields outside the contract, above all the context with the command id. */
  keepsExtraKeys: boolean;
  /** Handles each command id once: a repeat is acked, but neither applied nor broadcast. */
  recognisesRepeats: boolean;
  /** Has handlers for `transport:completed` and `metrics:updated`. */
  handlesEverything: boolean;
  /** Stores the events that a legacy CAD only relays. */
  storesRelays: boolean;
  /** Relays a payload that is not an object unchanged, and crashes on null where a handler reads its fields. */
  trustsPayloads: boolean;
  /** Socket.io's connection state recovery: milliseconds, 0 for none. */
  recoveryMs: number;
  /** Adds an id and a time to every broadcast, and replays missed ones: docs/cad-protocol.md. */
  replays: boolean;
}

export const characters: Record<CharacterName, Character> = {
  /** The existing CAD, as measured. */
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
  /** The CAD described in the technical documentation. */
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
