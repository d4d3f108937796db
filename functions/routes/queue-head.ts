import type { LastHeartbeat } from "../backend/health-calls.ts";
import type { QueueContent } from "../../shared/outbox/queues.ts";
import { toIso } from "../../shared/util/time.ts";
import { HEARTBEAT_LIMIT_S } from "../../shared/health/worker-health.ts";

/** Why the first command of a queue is waiting, in one sentence; null for an empty queue. A pure function. */
export function whyHeadWaits(queue: QueueContent, heartbeat: LastHeartbeat | undefined): string | null {
  const [head] = queue.commands;
  if (!head) return null;
  if (head.held)
    return `The dead letter ${head.id} (${head.state}) holds its place: the commands behind it wait until it is redriven or discarded.`;
  const before = queue.behind.find(({ held }) => held) ?? queue.behind[0];
  if (before?.held) return `It waits behind the dead letter ${before.id}, which holds the queue of ${before.key}.`;
  if (before) return `It waits behind the command ${before.id} in the queue of ${before.key}.`;
  if (!heartbeat || heartbeat.health.stopped) return "No worker is running.";
  if (heartbeat.ageSeconds > HEARTBEAT_LIMIT_S || !heartbeat.owned) return "The worker does not report.";
  if (heartbeat.health.waiting_for !== null) return `It waits: ${heartbeat.health.waiting_for}.`;
  if (queue.retryAt !== undefined && queue.retryAt > queue.now)
    return `It was sent ${times(head.sends)} without success, and is sent again at ${toIso(queue.retryAt)}.`;
  if (head.state === "sent" && head.sentAt !== undefined)
    return `It was sent ${times(head.sends)}, last at ${toIso(head.sentAt)}, and is waiting for the CAD's confirmation.`;
  const [other] = heartbeat.health.problems;
  return other ? `It is next. Current problem: ${other.message}` : "It is next, and will be sent at once.";
}

const times = (n: number): string => (n === 1 ? "once" : `${n} times`);
