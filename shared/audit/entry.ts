import { parseList } from "../util/json.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";

/** The outcome of a request. */
export const OUTCOMES = [
  ...(["accepted", "replayed"] as const),
  /** An administrative action: before and after it. */
  ...(["requested", "done", "failed"] as const),
  /** Requested something that does not exist or that the caller may not see. */
  "not-found",
  /** A record in Redis was not written by the bridge and is ignored. */
  "forged",
  ...(["unauthenticated", "forbidden", "wrong-org", "outside-units", "too-many-requests"] as const),
] as const;
export type AuditOutcome = (typeof OUTCOMES)[number];

/** What an entry concerns; and the reason given, where one is required. */
export type AuditedKey = OrderingKey | `reason:${string}`;

/** Who requests what. Never a payload: only the unit and the incident of a request. */
export interface AuditNote {
  /** Empty without a valid token. */
  user: string;
  role: string;
  /** Method and path, as in `POST /units/status`. */
  action: string;
  about: readonly AuditedKey[];
  requestId: string;
  address: string;
  /** Of notes with the same key, only the first per period is written; all are counted. */
  once?: { key: string; ms: number };
}

/** A note of the bridge's own action, without a request. */
export const ownNote = (role: "functions" | "worker", action: string): AuditNote => ({
  ...{ user: "", role, action, about: [], requestId: "", address: "" },
});

/** The stored fields of an entry beside its id: always these, in this order. */
export const FIELDS = [
  ...(["user", "role", "action", "about", "outcome", "command", "request", "address", "nth"] as const),
] as const;

/** With PAYLOAD_KEYS, these follow. */
export const MAC_FIELDS = ["issued", "mac"] as const;

export interface AuditEntry {
  /** Assigned by Redis: milliseconds by its clock, and a number within it. */
  id: string;
  user: string;
  role: string;
  action: string;
  about: string[];
  outcome: string;
  /** The command or dead letter concerned; empty if none. */
  command: string;
  request: string;
  address: string;
  /** When it was sent to Redis, by Redis's clock, us, and the sender's MAC; absent without PAYLOAD_KEYS. */
  issued?: string;
  mac?: string;
  /** Running number among entries with its action and outcome: gaps show how many were not written. */
  nth: number;
}

/** An entry as stored in the stream: its id, then names and values alternately. */
export type StoredEntry = [id: string, fields: string[]];

/** undefined if it does not have the form of an entry. */
export function parseEntry([id, fields]: StoredEntry): AuditEntry | undefined {
  const values = fields.filter((_, i) => i % 2 === 1);
  const names = fields.filter((_, i) => i % 2 === 0);
  const hasMac = names.length > FIELDS.length;
  if (names.join() !== [...FIELDS, ...(hasMac ? MAC_FIELDS : [])].join()) return undefined;
  const [
    user = "",
    role = "",
    action = "",
    about = "",
    outcome = "",
    command = "",
    request = "",
    address = "",
    nth = "",
    issued = "",
    mac = "",
  ] = values;
  const list = parseList(about);
  const shown = { id, user, role, action, outcome, command, request, address, nth: Number(nth) };
  return list && { ...shown, about: list, ...(hasMac && { issued, mac }) };
}

/** The inverse: exactly what was stored. */
export const storedEntry = (entry: AuditEntry): StoredEntry => [
  entry.id,
  [...FIELDS, ...(entry.mac === undefined ? [] : MAC_FIELDS)].flatMap((name) => [
    name,
    name === "about" ? JSON.stringify(entry.about) : String(entry[name]),
  ]),
];
