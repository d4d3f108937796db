import { parseList } from "../util/json.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";

/** What came of what somebody asked. */
export const OUTCOMES = [
  ...(["accepted", "replayed"] as const),
  /** An administrative action: before it is done, and after it. */
  ...(["requested", "done", "failed"] as const),
  /** Somebody asked for what is not there, or not for them to see. */
  "not-found",
  /** Something in Redis was not written by the bridge, and is not believed. */
  "forged",
  ...(["unauthenticated", "forbidden", "wrong-org", "outside-units", "too-many-requests"] as const),
] as const;
export type AuditOutcome = (typeof OUTCOMES)[number];

/** What an entry is about; and why somebody did it, where a reason is asked for. */
export type AuditedKey = OrderingKey | `reason:${string}`;

/** Who requests what. Never a payload: only the unit and the incident of a request. */
export interface AuditNote {
  /** Empty where no token said it. */
  user: string;
  role: string;
  /** The method and the path, as in `POST /units/status`. */
  action: string;
  about: readonly AuditedKey[];
  requestId: string;
  address: string;
  /** Of notes with the same key only the first in each span is written; all are counted. */
  once?: { key: string; ms: number };
}

/** A note of what the bridge did itself, for no request. */
export const ownNote = (role: "functions" | "worker", action: string): AuditNote => ({
  ...{ user: "", role, action, about: [], requestId: "", address: "" },
});

/** One entry of the trail as it is stored, beside its id: always these fields, in this order. */
export const FIELDS = [
  ...(["user", "role", "action", "about", "outcome", "command", "request", "address", "nth"] as const),
] as const;

/** With PAYLOAD_KEYS there are these as well, behind the others. */
export const MAC_FIELDS = ["issued", "mac"] as const;

export interface AuditEntry {
  /** Redis's own: the time in milliseconds by its clock, and a number within it. */
  id: string;
  user: string;
  role: string;
  action: string;
  about: string[];
  outcome: string;
  /** The command or dead letter that it is about; empty if none. */
  command: string;
  request: string;
  address: string;
  /** When it was handed to Redis, by Redis's clock, us, and the MAC of whoever did; absent without PAYLOAD_KEYS. */
  issued?: string;
  mac?: string;
  /** Running number among entries with its action and outcome: gaps show how many were not written. */
  nth: number;
}

/** An entry as stored in the stream: its id, then names and values alternately. */
export type StoredEntry = [id: string, fields: string[]];

/** Undefined if it has not the form of an entry. */
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

/** The other way round: exactly what was stored. */
export const storedEntry = (entry: AuditEntry): StoredEntry => [
  entry.id,
  [...FIELDS, ...(entry.mac === undefined ? [] : MAC_FIELDS)].flatMap((name) => [
    name,
    name === "about" ? JSON.stringify(entry.about) : String(entry[name]),
  ]),
];
