import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Fault } from "./faults/faults.ts";
import { renderEventMatrix, renderMatrix, renderRemarks } from "./matrix.ts";
import { renderProof } from "./proof.ts";
import type { FaultRun } from "./run-fault.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface RunFacts {
  seed: number;
  minutes: number;
  redis: string;
}

/** Renders docs/faults.md, the report of a full run. */
export function renderDocs(
  faults: readonly Fault[],
  runs: readonly FaultRun[],
  { seed, minutes, redis }: RunFacts,
): string {
  const versions = ["bullmq", "ioredis", "socket.io", "socket.io-client"].map((name) => `${name} ${versionOf(name)}`);
  const ran = faults.filter((fault) => runs.some((run) => run.fault === fault));
  return `# Fault tolerance

Written by \`npm run chaos\` on ${new Date().toISOString().slice(0, 10)}; Node ${process.versions.node}, Redis ${redis} (AOF,
everysec), ${versions.join(", ")}; seed ${seed}, ${minutes} minutes, ${availableParallelism()} processors. To repeat it: \`npm run chaos -- --seed ${seed}\`.

${renderProof()}
## Method

Each run has its own bridge: two functions processes, one or two workers, a Redis and the CAD simulator, all of them real
processes, killed with real signals. Producers post about 120 commands a second for 200 units and 100 incidents, some much
busier than others, nearly half of the commands with both ordering keys. They repeat every request that is not answered, or
answered with 429 or 5xx, with the same Idempotency-Key until it gets a 202. Between a worker and the CAD, and between Redis and
each process, there is a TCP proxy that can cut connections, swallow bytes and heal. A worker that exits is restarted, as a
supervisor would. The fault is injected after 1.5 s and then undone; the load goes on, ends, and everything has to come to rest.

Two ledgers are compared: what was accepted, in which order within each unit and incident (a producer posts the next command
only after the 202 of the last), and what the CAD received, written to a file before it handles it, so that it survives a crash
of the CAD.

## What counts as a failure

- An accepted command that never reached the CAD, unless its receipt says \`superseded\`, or it is a dead letter with a reason.
- A first delivery out of order within a unit or an incident.
- An older command that is repeated after a newer one of its unit or incident, unless it was sent on an older connection than
  the newer one: then it was in flight when that connection broke.
- A receipt without a final state; anything left in the outbox's keys; a job left in BullMQ.
- An emit while another worker held the lease. The connection shows the sender (each worker has its own proxy). The lease is
  read from Redis every 20 ms, and an emit within 100 ms of a change is not counted; two processes with the same instance name,
  one started after the other, count as the same worker.
- A recovery that takes longer than its bound: the time until the CAD receives a command again, on any connection or, where
  the fault breaks the connection, on a new one.

## Faults

${ran.map(({ name, what, cad, workers }) => `- **${name}**: ${what} (${cad} CAD, ${workers === 1 ? "one worker" : "two workers"}).`).join("\n")}

## Results: commands

| column | meaning |
|---|---|
| delivered | commands that reached the CAD at least once. With superseded commands and dead letters they are all that was accepted (a command that was rejected, or that expired after it was sent, may have reached the CAD too) |
| duplicates | deliveries beyond the first, except those that the CAD asked for by refusing |
| recovered in | of the slowest run |

${renderMatrix(faults, runs)}

${renderRemarks(runs)
  .map((line) => `- ${line}`)
  .join("\n")}

## Results: events

In the same runs, two services receive the CAD's events as webhooks: one all of them, the other those of statuses and incidents.
What the CAD broadcast (a modern one gives each event an id), what is in the journal, and what each service answered with 2xx are
compared. A failure is an event that is missing from the journal without a recorded gap; one that a service never got, and that
is not a dead letter; one that came after a newer one of its unit or incident, for the first time or again; and anything left in
an outbox. "Gaps recorded" are entries by which the journal itself says that events may be missing: a CAD that cannot replay
leaves one at each reconnect, and so does one that was killed with what it had just sent.

${renderEventMatrix(faults, runs)}

## Known limits

- **Duplicates.** A command whose proof was lost with a connection or a process is sent again, with the same
  \`context.commandId\`. Only a CAD that recognises ids can drop it.
- **Late repeats.** A CAD that was stopped, or that is behind a slow network, may receive what was sent on the old connection
  after it received the repeat, and newer commands, on the new one. \`context.issuedAt\` lets a CAD recognise a message that is
  older than what it has.
- **Frozen worker.** A worker that is frozen between its last check of the lease and the write to its socket sends late when it
  wakes, when another may hold the lease. The window is some microseconds wide; a count of 0 above means that it was not hit,
  not that it is closed.
- **Redis's last second.** With \`appendfsync everysec\` a crash of the Redis machine, which is not tested here, may lose what was
  accepted within the last second. Killing the Redis process loses what it had not yet written while the disk was slow to sync.
- **A connection that is silent in one direction only** is detected when something is expected from it: see the times above.
`;
}

function versionOf(name: string): string {
  const text = readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
