import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import { type Bridge, type BridgeOptions, startBridge } from "./bridge.ts";
import type { Problem } from "../../shared/health/problems.ts";
import { type Received, type Receiver, startReceiver } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";

/** A routes file for one test. Its path; written again, it is for the next start of a worker. */
export function writeRoutes(
  routes: { destinations: unknown[]; rules: unknown[] },
  atEnd: (end: () => void) => void = onTestFinished,
): string {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-routes-"));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "routes.yaml");
  writeFileSync(file, stringify(routes));
  return file;
}

/** A receiver that is stopped when the test ends. */
export async function freshReceiver(): Promise<Receiver> {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.stop());
  return receiver;
}

interface Given<Id extends string> {
  bridge: Bridge;
  receivers: Record<Id, Receiver>;
  /** The worker's variables: to start another one with. */
  env: Record<string, string>;
}

/**
 * A bridge with a receiver behind each destination, and waits that are short enough for a test.
 * @param more what a destination has beside its address and secret
 */
export async function withDestinations<Id extends string>(
  ids: readonly Id[],
  rules: readonly Record<string, unknown>[],
  more: Record<string, unknown> = {},
  options: Omit<BridgeOptions, "worker"> & { worker?: Record<string, string> } = {},
): Promise<Given<Id>> {
  const pairs = await Promise.all(ids.map(async (id) => [id, await freshReceiver()] as const));
  const destinations = pairs.map(([id, { url, secret }]) => ({
    id,
    url,
    secret,
    phi: true,
    retry_s: [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2],
    ...more,
  }));
  const env = {
    ROUTES_FILE: writeRoutes({ destinations, rules: [...rules] }),
    ALLOW_PRIVATE_DESTINATIONS: "true",
    ...options.worker,
  };
  const bridge = await startBridge({ ...options, worker: env });
  return { bridge, receivers: Object.fromEntries(pairs) as Record<Id, Receiver>, env };
}

/** The events of these tests, and not what the bridge itself has to say. */
export const ALL = [{ to: "a", events: ["unit:*", "incident:*"] }];
export const status = (unitId: string, n: number) => ({ unitId, status: `s${n}` });
export const statusOf = (request: Received) => (request.data as { status: string }).status;
export const of = (requests: Received[], unit: string) =>
  requests.filter((r) => r.subject === `unit:${unit}`).map(statusOf);
export const tell = (bridge: Bridge, unitId: string, ...ns: number[]) => {
  for (const n of ns) bridge.cad.broadcast("unit:status:updated", status(unitId, n));
};
export const accepts = (receiver: Receiver, count: number, withinMs?: number) =>
  until(`${count} were accepted`, () => receiver.accepted().length >= count && receiver.accepted(), withinMs);

export interface Shown {
  id: string;
  url: string;
  state: string;
  reason: string | null;
  waiting: number;
  dead_letters: number;
  last_error: string | null;
  oldest_age_seconds: number | null;
}
export const shown = async (bridge: Bridge, id: string) =>
  ((await bridge.get("/destinations")).body["destinations"] as Shown[]).find((d) => d.id === id);
export const becomes = (bridge: Bridge, id: string, what: (d: Shown) => boolean) =>
  until(`${id} shows it`, async () => {
    const found = await shown(bridge, id);
    return found && what(found) && found;
  });
export const problems = async (bridge: Bridge) =>
  (await bridge.get("/health")).body as { status: string; problems: Problem[] };
