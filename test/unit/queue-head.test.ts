import { expect, test } from "vitest";
import type { LastHeartbeat } from "../../functions/backend/health-calls.ts";
import { whyHeadWaits } from "../../functions/routes/queue-head.ts";
import type { QueueContent } from "../../shared/outbox/queues.ts";

const now = Date.parse("2026-01-31T22:05:00Z") * 1000;
const head = { id: "c1", keys: ["unit:M1", "incident:I1"], state: "queued", sends: 0, sentAt: undefined };
const queue = (more: object = {}, record: object = {}) =>
  ({
    ...{ key: "unit:M1", now, waiting: 1, behind: [], retryAt: undefined },
    commands: [{ ...head, ...record }],
    ...more,
  }) as unknown as QueueContent;
const beat = (health: object = {}, more: object = {}) =>
  ({
    health: { stopped: false, waiting_for: null, problems: [], ...health },
    ...{ ageSeconds: 1, owned: true },
    ...more,
  }) as unknown as LastHeartbeat;
const sent = { state: "sent", sends: 2, sentAt: now - 1_000_000 };

test.each<[string, QueueContent, LastHeartbeat | undefined, RegExp | null]>([
  ["an empty queue", queue({ commands: [] }), beat(), null],
  ["another before it", queue({ behind: [{ key: "incident:I1", id: "c0" }] }), beat(), /behind .* c0 .* incident:I1/],
  ["no worker", queue(), undefined, /No worker/],
  ["a stopped worker", queue(), beat({ stopped: true }), /No worker/],
  ["a silent worker", queue(), beat({}, { ageSeconds: 60 }), /does not report/],
  ["a worker without the lease", queue(), beat({}, { owned: false }), /does not report/],
  ["a CAD that is away", queue(), beat({ waiting_for: "the CAD is not connected" }), /CAD is not connected/],
  [
    "a postponed one",
    queue({ retryAt: now + 5_000_000 }, sent),
    beat(),
    /sent 2 times .* again at 2026-01-31T22:05:05/,
  ],
  ["one that was sent", queue({}, sent), beat(), /waiting for the CAD's confirmation/],
  ["one with a problem", queue(), beat({ problems: [{ message: "A key is missing." }] }), /A key is missing/],
  ["one that is next", queue(), beat(), /sent at once/],
])("reports why the head of a queue is waiting: %s", (_what, content, last, says) => {
  if (says === null) expect(whyHeadWaits(content, last)).toBeNull();
  else expect(whyHeadWaits(content, last)).toMatch(says);
});
