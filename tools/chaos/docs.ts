import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Fault } from "./faults.ts";
import { renderEventMatrix, renderMatrix, renderRemarks } from "./matrix.ts";
import type { FaultRun } from "./run-fault.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface RunFacts {
  seed: number;
  minutes: number;
  redis: string;
}

/** docs/faults.md: what a full run found, and how it is to be read. */
export function renderDocs(
  faults: readonly Fault[],
  runs: readonly FaultRun[],
  { seed, minutes, redis }: RunFacts,
): string {
  const versions = ["bullmq", "ioredis", "socket.io", "socket.io-client"].map((name) => `${name} ${versionOf(name)}`);
  const ran = faults.filter((fault) => runs.some((run) => run.fault === fault));
  return `# What the bridge survives

Written by \`npm run chaos\` on ${new Date().toISOString().slice(0, 10)}; Node ${process.versions.node}, Redis ${redis} (AOF,
everysec), ${versions.join(", ")}; seed ${seed}, ${minutes} minutes, ${availableParallelism()} processors. To see it again: \`npm run chaos -- --seed ${seed}\`.

## How it is tried

Each run has a bridge of its own: two processes of the functions, one or two workers, a Redis and the CAD simulator, all of
them real processes, killed with real signals. Producers post about 120 commands a second for 200 units and 100 incidents, some
much busier than others, nearly half of the commands with both ordering keys; they repeat whatever is not answered, or answered
with 429 or 5xx, with the same Idempotency-Key until it is a 202. Between a worker and the CAD, and between Redis and each
process, stands a TCP proxy that can cut, swallow and heal. A worker that ends by itself is started again, as a supervisor does. The fault strikes after 1.5 s, and is undone; then the load goes on, ends,
and everything has to come to rest.

There are two ledgers: what was accepted, in which order within each unit and incident (a producer posts the next one only after
the 202 of the last), and what the CAD received, written to a file before it handles it, so that it survives the CAD's own death.

## What counts as a failure

- An accepted command that never reached the CAD, unless its receipt says \`superseded\`, or it is a dead letter with a reason.
- A first delivery out of order within a unit or an incident.
- An older command that comes again after a newer one of its unit or incident, unless it was sent on an older connection than
  the newer one: then it was in flight when that connection broke.
- A receipt without a final state; anything left in the outbox's keys; a job left in BullMQ.
- An emit while another worker owned the CAD. Whose connection it came by is known for certain (each worker has its own proxy).
  Who owned the CAD is looked up in Redis every 20 ms, and an arrival within 100 ms of a change is given the benefit of the
  doubt; two processes of the same instance name, one started after the other, are taken for the same worker.
- A recovery that takes longer than its bound: the time until the CAD receives a command again, on any connection or, where
  the fault breaks the connection, on one made since.

## The faults

${ran.map(({ name, what, cad, workers }) => `- **${name}**: ${what} (${cad} CAD, ${workers === 1 ? "one worker" : "two workers"}).`).join("\n")}

## What was found

"Delivered" are commands that reached the CAD at least once; with the superseded ones and dead letters they are all that was
accepted (one that is rejected, or that expired after it was sent, may have reached the CAD, too). "Duplicates" are deliveries beyond the first, those not counted that the
CAD asked for by refusing. "Recovered in" is the slowest run.

${renderMatrix(faults, runs)}

${renderRemarks(runs)
  .map((line) => `- ${line}`)
  .join("\n")}

## The way back

Beside all this two services take the CAD's events as webhooks: one all of them, the other those of statuses and incidents. What the
CAD broadcast (a modern one gives each an id), what the journal has, and what each service answered with 2xx are held against
each other. A failure is an event that is not in the journal although no gap is told of; one that a service never got, and
that is no dead letter; one that came after a newer one of its unit or incident, for the first time or again; and whatever is
left in an outbox. "Gaps told" are entries by which the journal itself says that something may be missing: a CAD that cannot replay leaves
one at each reconnect, and so does one that was killed with what it had just sent.

${renderEventMatrix(faults, runs)}

## What remains open, by nature

- **Duplicates.** A command whose proof was lost with a connection or a process is sent again, with the same
  \`context.commandId\`. Only a CAD that knows the ids it has handled can tell.
- **Late repeats.** A CAD that was stopped, or that sits behind a slow network, may receive what was sent on the old connection
  after it received the repeat, and newer commands, on the new one. \`context.issuedAt\` tells a CAD that a message is older than
  what it has.
- **The frozen worker.** A worker that is frozen between its last look at the lease and the write to its socket sends late when it
  wakes, when another may own the CAD. The window is some microseconds wide; it was not hit above if the count is 0, and that
  does not mean that it is closed.
- **Redis's own last second.** With \`appendfsync everysec\` a crash of Redis's machine, which is not tried here, may lose what
  was accepted within the last second. Killing the process of Redis loses what it had not yet written while the disk was slow
  to sync.
- **A connection that is silent in one direction only** is noticed when something is expected from it: see the times above.
`;
}

function versionOf(name: string): string {
  const text = readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
