/** The names of everything that one CAD backend has in Redis; FORMAT.md says what each holds. */
export interface OutboxKeys {
  base: string;
  queue: { prefix: string; name: string };
  record(id: string): string;
  settledChannel(id: string): string;
  controlChannel: string;
  runnable: string;
  open: string;
  dead: string;
  counts: string;
  lease: string;
  owner: string;
  epoch: string;
  rooms: string;
  health: string;
}

/** @param prefix REDIS_PREFIX: what keeps several CAD backends apart in one Redis. */
export function outboxKeys(prefix: string): OutboxKeys {
  const base = `{${prefix}}:cad`;
  return {
    base,
    queue: { prefix: `{${prefix}}`, name: "emit" },
    record: (id) => `${base}:record:${id}`,
    settledChannel: (id) => `${base}:settled:${id}`,
    controlChannel: `${base}:control`,
    runnable: `${base}:runnable`,
    open: `${base}:open`,
    dead: `${base}:dead`,
    counts: `${base}:counts`,
    lease: `${base}:lease`,
    owner: `${base}:owner`,
    epoch: `${base}:epoch`,
    rooms: `${base}:rooms`,
    health: `${base}:health`,
  };
}
