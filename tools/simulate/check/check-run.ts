import { commandNamed } from "../../../shared/commands/table.ts";
import type { OutboxKeys } from "../../../shared/redis/keys.ts";
import { type Arrival, check, type OwnerChange, type SeenReceipt } from "../../chaos/check/checker.ts";
import { answersAnother } from "./attribution.ts";
import type { PlannedCommand } from "../hosts/workload.ts";
import type { LedgerEntry } from "../../simulator/ledger.ts";
import type { CadHost } from "../hosts/cad-host.ts";
import type { Clients } from "../hosts/client.ts";
import type { JobBoard } from "../world/job-board.ts";
import { checkEventDirection } from "./check-events.ts";
import type { Probe } from "../world/probe.ts";
import type { RedisServer, Reply } from "../world/redis-server.ts";
import type { ServiceHost } from "../hosts/service-host.ts";
import type { World } from "../world/world.ts";

export type Owner = OwnerChange;

export interface FinishedRun {
  world: World;
  server: RedisServer;
  board: JobBoard;
  cad: CadHost;
  clients: Clients;
  owners: readonly Owner[];
  probe: Probe;
  services: ServiceHost;
  destinations: readonly string[];
  keys: OutboxKeys;
  atRest: boolean;
}

interface StoredRecord extends SeenReceipt {
  kind: string;
  by: string;
  sends: number;
  /** ms since 1970 */
  span: { accepted: number; settled: number };
}

const list = (reply: Reply): string[] => (Array.isArray(reply) ? reply.map(String) : []);

/** Everything that is wrong with a run, each in a line: what the ledger checker of the chaos suite finds, and what Redis shows. */
export async function checkRun(run: FinishedRun): Promise<string[]> {
  const { clients, server, keys, owners, board, cad } = run;
  const records = new Map<string, StoredRecord>();
  await Promise.all(
    clients.accepted.map(async ({ id }) => {
      const record = await readRecord(server, keys.record(id));
      if (record) records.set(id, record);
    }),
  );
  const entries = cad.ledger.entries({ limit: 100_000 });
  const verdict = check({
    accepted: clients.accepted,
    arrivals: arrivalsOf(entries, cad),
    receipts: records,
    left: { outbox: await leftOf(server, keys), jobs: board.counts(`${keys.queue.prefix} ${keys.queue.name}`) },
    owners,
    stalls: [],
  });
  return [
    ...verdict.violations.map(({ kind, what }) => `${kind}: ${what}`),
    ...(run.atRest ? [] : ["stuck: it did not come to rest although nothing struck any more"]),
    ...clients.refused,
    ...(await checkOutcomes(run)),
    ...(await checkAudit(run)),
    ...(await checkEventDirection(run)),
    ...checkClaims(run, records, entries),
  ];
}

async function readRecord(server: RedisServer, key: string): Promise<StoredRecord | undefined> {
  const fields = ["kind", "state", "reason", "by", "sends", "accepted_at", "settled_at"];
  const values = await server.command("HMGET", key, ...fields);
  const [kind, status, reason, by, sends, accepted, settled] = Array.isArray(values) ? values : [];
  if (typeof status !== "string") return undefined;
  return {
    ...{ kind: String(kind), status, reason: typeof reason === "string" ? reason : null },
    ...{ by: String(by ?? ""), sends: Number(sends) },
    span: { accepted: Number(accepted) / 1000, settled: Number(settled) / 1000 },
  };
}

function arrivalsOf(entries: readonly LedgerEntry[], cad: CadHost): Arrival[] {
  return entries.flatMap(({ seq, commandId, connection, outcome }): Arrival[] => {
    const sent = cad.emitted[seq - 1];
    if (commandId === null || !sent) return [];
    const { emitted: time, opened, worker } = sent;
    return [{ id: commandId, time, connection, opened, worker, refused: outcome === "refused" }];
  });
}

async function leftOf(server: RedisServer, keys: OutboxKeys): Promise<string[]> {
  const left: string[] = [];
  for (const key of [keys.open, keys.runnable])
    for (const id of list(await server.command("ZRANGE", key, 0, -1))) left.push(`${id} in ${key}`);
  for (const key of list(await server.command("KEYS", `${keys.base.replaceAll(/[{}]/g, "\\$&")}:line:*`)))
    left.push(`${String(await server.command("LLEN", key))} in ${key}`);
  for (const key of list(await server.command("HKEYS", keys.waiting))) left.push(`${key} in ${keys.waiting}`);
  return left;
}

/** Conservation: each accepted command was settled once, and the counters agree. */
async function checkOutcomes({ clients, server, keys, atRest }: FinishedRun): Promise<string[]> {
  if (!atRest) return [];
  const said = list(await server.command("LRANGE", "sim:said", 0, -1));
  const settled = new Map<string, string[]>();
  for (let i = 0; i < said.length; i += 2) {
    const [, id] = /:settled:(.*)$/.exec(said[i] ?? "") ?? [];
    if (id !== undefined && said[i]?.startsWith(`${keys.base}:`))
      settled.set(id, [...(settled.get(id) ?? []), said[i + 1] ?? ""]);
  }
  const counts = list(await server.command("HGETALL", keys.counts));
  const counted = { accepted: 0, final: 0 };
  for (let i = 0; i < counts.length; i += 2)
    counted[counts[i] === "accepted" ? "accepted" : "final"] += Number(counts[i + 1]);
  const repeated = [...settled].filter(([, states]) => states.length !== 1);
  const missing = clients.accepted.filter(({ id }) => !settled.has(id));
  return [
    ...repeated.map(([id, states]) => `conservation: ${id} was settled as ${states.join(", then ")}`),
    ...missing.map(({ id }) => `conservation: ${id} was accepted and never settled`),
    ...(counted.final === settled.size && counted.accepted === settled.size
      ? []
      : [`conservation: ${JSON.stringify(counted)} are counted, and ${settled.size} were settled`]),
  ];
}

/** Whatever is stored has its entry in the audit trail, written in the same step: of values of which only the latest counts, not each. */
async function checkAudit({ server, keys }: FinishedRun): Promise<string[]> {
  const trail = await server.command("XRANGE", `${keys.base}:audit`, "-", "+");
  const audited = new Map<string, number>();
  for (const entry of Array.isArray(trail) ? trail : []) {
    const fields = list(Array.isArray(entry) ? (entry[1] ?? null) : null);
    const [outcome, id] = [fields[fields.indexOf("outcome") + 1], fields[fields.indexOf("command") + 1] ?? ""];
    if (outcome === "accepted") audited.set(id, (audited.get(id) ?? 0) + 1);
  }
  const prefix = keys.record("");
  const stored = list(await server.command("KEYS", `${prefix.replaceAll(/[{}]/g, "\\$&")}*`)).map((key) =>
    key.slice(prefix.length),
  );
  const kinds = new Map<string, string>();
  await Promise.all(
    stored.map(async (id) => kinds.set(id, String(await server.command("HGET", keys.record(id), "kind")))),
  );
  const mayRepeat = (id: string) => commandNamed(kinds.get(id) ?? "")?.latestWins === true;
  const numbers = stored.map((id) => id.split("-", 1)[0] ?? "");
  const twice = stored.filter((_, i) => numbers.indexOf(numbers[i] ?? "") !== i);
  return [
    ...twice.map((id) => `idempotency: a command was accepted twice, the second time as ${id}`),
    ...stored.flatMap((id) =>
      audited.get(id) === 1 || (mayRepeat(id) && !audited.has(id))
        ? []
        : [`audit: ${id} has ${audited.get(id) ?? 0} entries that it was accepted`],
    ),
  ];
}

/** Invariant 11: no receipt claims more than is known. */
function checkClaims(
  { clients, cad }: FinishedRun,
  records: ReadonlyMap<string, StoredRecord>,
  entries: readonly LedgerEntry[],
): string[] {
  const outcomes = new Map<string, Set<string>>();
  for (const { commandId, outcome } of entries)
    if (commandId !== null) outcomes.set(commandId, new Set([...(outcomes.get(commandId) ?? []), outcome]));
  const written = new Set((cad.database?.store.writes() ?? []).map(({ commandId }) => commandId));
  const isAnothers = ({ by, span }: StoredRecord, command: PlannedCommand) =>
    by === "echo" && !cad.character.keepsExtraKeys && answersAnother(command, cad.happened, span);
  return clients.accepted.flatMap(({ id, command }) => {
    const record = records.get(id);
    if (!record || isAnothers(record, command)) return [];
    const seen = outcomes.get(id) ?? new Set<string>();
    const claim = `truth: ${id} (${record.kind}) is ${record.status} by ${record.by || "nothing"}`;
    const provesWrite = commandNamed(record.kind)?.echo?.proves === "write";
    switch (record.status) {
      case "confirmed":
        if (provesWrite && !written.has(id)) return [`${claim}, and the CAD has not written it`];
        return ["applied", "unchanged", "unechoed", "repeat"].some((one) => seen.has(one))
          ? []
          : [`${claim}, and the CAD did not handle it`];
      case "rejected":
        return seen.has("rejected") ? [] : [`${claim}, and the CAD has not rejected it`];
      case "received":
      case "unconfirmed":
        return seen.size > 0 ? [] : [`${claim}, and never came to the CAD`];
      default:
        return [];
    }
  });
}
