/**
 * Every kind of record that the bridge has in Redis, by its key without the prefix, and what vouches for each field. `authentic`: with
 * PAYLOAD_KEYS nobody without a key can change it and be believed. `hint`: anybody can, and why nothing is believed by it.
 */
export interface StoredKind {
  key: RegExp;
  /** The names of the fields of a hash or of a stream's entry; of any other type there is one, called `value`. */
  authentic?: readonly (string | RegExp)[];
  hints?: Readonly<Record<string, string>>;
  /** The same for every other field, and for what has none. */
  hint?: string;
}

const SCHEDULING = "decides when something is sent, never what; its record is authenticated before it is sent";
const COUNTING = "a count: of it something is shown or refused, nothing is sent";
const SUPPRESSION = "says that something was there before: whoever writes it suppresses, as by deleting";
const LEASES = "who may send: whoever writes it delays";

const RECORD = {
  authentic: [
    ...["kind", "keys", "body", "user", "role", "fingerprint", "latest", "ttl", "issued_at", "head", "redrive_of"],
    ...[
      "state",
      "reason",
      "by",
      "final",
      "accepted_at",
      "settled_at",
      "redriven_as",
      "redriven",
      "held",
      "tries",
      "trace",
    ],
  ],
  hints: {
    sends: `${COUNTING}; of a settled one it is authenticated`,
    sent_at: `${COUNTING}; of a settled one it is authenticated`,
    ...{ refusals: SCHEDULING, unanswered: SCHEDULING, retry_at: SCHEDULING, rest: SCHEDULING, early: SCHEDULING },
    ...{ spared: SCHEDULING, expires_at: "the time to live itself is authenticated" },
    kept: SCHEDULING,
    overtaken_by: "shown to whoever redrives, as a warning",
  },
};

export const STORED: readonly StoredKind[] = [
  { key: /^cad:record:/, ...RECORD },
  { key: /^to:[a-z0-9-]+:record:/, ...RECORD },
  { key: /:(line|runnable|ready|awake|open|expiring|dead|held|last)(:|$)/, hint: SCHEDULING },
  { key: /:unconfirmed(:|$)/, hint: SCHEDULING },
  { key: /:(charges|waiting|counts|outcomes)$/, hint: COUNTING },
  { key: /^cad:limit:/, hint: COUNTING },
  { key: /^cad:pages$/, hint: COUNTING },
  { key: /:(idem|once):/, hint: SUPPRESSION },
  { key: /^cad:seen:/, hint: SUPPRESSION },
  { key: /^cad:audit:(seen:|spent$)/, hint: SUPPRESSION },
  { key: /^cad:(lease|owner|epoch)$/, hint: LEASES },
  {
    key: /^cad:store$/,
    hint: "keeps a worker of another CAD away by mistake; commands bear the key they were stored under",
  },
  { key: /^cad:written$/, hint: "which batch of events was written last: what is not in the journal is written again" },
  { key: /^cad:workers$/, hint: "the names of workers, shown alone" },
  { key: /^cad:destinations$/, hint: "where destinations are looked for" },
  { key: /^cad:all:/, hint: "where states are looked for" },
  {
    key: /^cad:moved(:barriers)?$/,
    hint: "refuses and delays commands of a unit; where it moved to is authenticated beside the CADs' own keys",
  },
  { key: /^emit:/, hint: "BullMQ's jobs: they wake the worker and hold no data" },
  {
    key: /^cad:journal$/,
    authentic: [
      ...["kind", "event", "ref", "keys", "payload", "occurred", "received", "own", "recovered", "wrong", "event_id"],
      ...["cad", "n", "trace"],
    ],
  },
  { key: /^cad:heard$/, authentic: ["value"] },
  { key: /^cad:(gaps|rooms|history)$/, authentic: ["value"] },
  { key: /^cad:pages:(journal|alert)$/, authentic: ["value"] },
  { key: /^cad:(problems|cursors|uptime)$/, authentic: [/./] },
  { key: /^cad:handled:/, authentic: [/./] },
  { key: /^cad:state:/, authentic: [/./] },
  { key: /^cad:health$/, authentic: ["value"] },
  {
    key: /^to:[a-z0-9-]+:state$/,
    authentic: ["state", "enable", "pause", "rules", "attempts", "replay_ask", "replay", "replay_dry_run"],
  },
  {
    key: /^cad:audit$/,
    authentic: [...["user", "role", "action", "about", "outcome", "command", "request", "address", "issued", "mac"]],
    hints: { nth: "the script counts it; the chain covers it" },
  },
  { key: /^cad:audit:links$/, authentic: ["hash", "by", "n", "forged"] },
  { key: /^cad:audit:(head|anchor)$/, authentic: ["id", "hash", "by", "count", "sealed_by", "seal"] },
];

/** What vouches for a field; undefined if the table says nothing of it. */
export function protectionOf(key: string, field: string): "authentic" | "hint" | undefined {
  const kinds = STORED.filter((kind) => kind.key.test(key));
  if (kinds.length !== 1) return undefined;
  const [kind] = kinds;
  const fits = (name: string | RegExp) => (typeof name === "string" ? name === field : name.test(field));
  if (kind?.authentic?.some(fits)) return "authentic";
  return kind?.hints?.[field] !== undefined || kind?.hint !== undefined ? "hint" : undefined;
}

/**
 * What an older authentic value may say again if it is put back whole, and why that is no more than deleting what came since.
 * docs/security.md lists the same.
 */
export const SAYS_WHAT_IT_SAID: readonly { key: RegExp; field?: RegExp; why: string }[] = [
  { key: /^cad:state:/, why: "of state its time goes back too, as if the events since had been deleted" },
  { key: /^cad:handled:/, why: "of an entry that was handled twice, the first time" },
  { key: /^(cad|to:[a-z0-9-]+):record:/, why: "it waits, or is no more than a dead letter: its outcome is deleted" },
  { key: /^to:[a-z0-9-]+:state$/, field: /^(attempts|replay\w*)$/, why: "each attempt and replay bears its time" },
  { key: /^to:[a-z0-9-]+:state$/, field: /^whole$/, why: "the worker that runs writes its own again" },
  { key: /^cad:(history|uptime)$/, why: "each minute and hour bears its time" },
  { key: /^cad:health$/, why: "an old heartbeat is as old as it says" },
];

/** Whether an older value of this field (`whole`: of the whole key) may say what it said. */
export const maySayAgain = (key: string, field: string): boolean =>
  SAYS_WHAT_IT_SAID.some((one) => one.key.test(key) && (one.field === undefined || one.field.test(field)));
