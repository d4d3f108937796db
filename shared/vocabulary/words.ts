/**
 * Words for a priority or a status, and what is sent to the CAD for each. The platform's clients have their own vocabularies; a
 * word in none of these tables is refused, since a guess could change its meaning.
 */

/**
 * Words for a priority, by number. HIGH, MEDIUM and LOW are left out: in some systems HIGH is the most urgent, in others it
 * comes after CRITICAL.
 */
const PRIORITY_WORDS = {
  1: ["emergency", "critical", "immediate", "stat"],
  2: ["urgent"],
  3: ["routine", "normal"],
  4: ["scheduled"],
  5: [],
} as const satisfies Record<number, readonly string[]>;

/** Every accepted text for a priority, and its number. */
export const PRIORITIES: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(PRIORITY_WORDS).flatMap(([number, words]) =>
    [number, ...words].map((word) => [word, Number(number)] as const),
  ),
);

/**
 * Unit statuses by the client that uses the word. Each is sent in lower case but untranslated: the same word means different
 * things in two of them (`at_facility` is the pickup in one and the hospital in another), and the CAD stores any.
 */
const UNIT_VOCABULARIES = {
  "REST API": ["available", "enroute", "onscene", "transport", "hospital", "unavailable"],
  "CAD types": ["available", "en_route", "at_facility", "transporting", "out_of_service", "off_duty"],
  "CAD REST": ["available", "dispatched", "en_route_to_origin", "at_origin", "transporting", "at_destination"],
  dashboard: ["available", "assigned", "en_route", "at_scene", "transporting", "at_facility", "out_of_service"],
  others: ["acknowledged", "closed"],
} as const;
export const UNIT_STATUSES: readonly string[] = [...new Set(Object.values(UNIT_VOCABULARIES).flat())];
export const UNIT_STATUS_WORDS: Readonly<Record<string, string>> = Object.fromEntries(
  UNIT_STATUSES.map((word) => [word, word]),
);

/** An incident's status as the CAD's clients compare it: in lower case. */
export const INCIDENT_STATUSES = [
  "pending",
  "assigned",
  "en_route",
  "at_facility",
  "transporting",
  "arrived_destination",
  "completed",
  "cancelled",
] as const;
/** Statuses without an equivalent among those, sent as they are. A closed incident may have been cancelled. */
const OTHER_INCIDENT_STATUSES = ["acknowledged", "closed"] as const;

/** Other vocabularies' words for an incident's status; the stages are those of `TIMESTAMP_FIELDS`. */
const INCIDENT_STATUS_SYNONYMS = {
  dispatched: "assigned",
  enroute: "en_route",
  en_route_to_origin: "en_route",
  onscene: "at_facility",
  at_scene: "at_facility",
  at_origin: "at_facility",
  transport: "transporting",
  hospital: "arrived_destination",
  at_destination: "arrived_destination",
  canceled: "cancelled",
} as const satisfies Record<string, (typeof INCIDENT_STATUSES)[number]>;

export const INCIDENT_STATUS_WORDS: Readonly<Record<string, string>> = {
  ...Object.fromEntries([...INCIDENT_STATUSES, ...OTHER_INCIDENT_STATUSES].map((word) => [word, word])),
  ...INCIDENT_STATUS_SYNONYMS,
};

/** The CAD's words for them. */
export const CAD_INCIDENT_STATUSES: readonly string[] = [...new Set(Object.values(INCIDENT_STATUS_WORDS))];

/** The CAD's word for a status, including one that was accepted and stored before this table existed. */
export const toCadIncidentStatus = (status: string): string => INCIDENT_STATUS_WORDS[spelling(status)] ?? status;

/** Longer than any word of the tables. */
const LONGEST = 40;

/** Normalises a word to the tables' spelling: lower case, with underscores. A longer text is returned unchanged. */
export const spelling = (given: string): string =>
  given.length <= LONGEST ? given.toLowerCase().replaceAll(/[ -]/g, "_") : given;

/** The number of a priority given as a number, as text or as a word; undefined if invalid. */
export function priorityOf(given: unknown): number | undefined {
  const word = typeof given === "number" ? String(given) : typeof given === "string" ? spelling(given) : "";
  return Object.hasOwn(PRIORITIES, word) ? PRIORITIES[word] : undefined;
}
