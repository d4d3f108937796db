/** The Redis key names of one outbox; FORMAT.md describes their contents. */
export interface OutboxKeys {
  base: string;
  /** Base name of its CAD backend, with the lease and the leader: shared by all outboxes of a bridge. */
  cad: string;
  queue: { prefix: string; name: string };
  record(id: string): string;
  settledChannel(id: string): string;
  controlChannel: string;
  runnable: string;
  /** Commands only: runnable commands not claimed yet, and the token of the worker that will claim them without being woken. */
  ready: string;
  awake: string;
  /** Notifies the active worker that `ready` is no longer empty. */
  readyChannel: string;
  open: string;
  dead: string;
  /** Commands only: dead letters that hold their place. */
  held: string;
  waiting: string;
  unconfirmed: string;
  counts: string;
  lease: string;
  owner: string;
  rooms: string;
  health: string;
  /** How long the CAD was ready in each hour. */
  uptime: string;
  /** Statistics of each minute of the last hour, and the list of workers. */
  history: string;
  workers: string;
  /** The identity of the CAD that all of this belongs to. */
  store: string;
}

/**
 * The outbox of the commands to the CAD.
 * @param prefix REDIS_PREFIX, which separates CAD backends in one Redis
 */
export const outboxKeys = (prefix: string): OutboxKeys => keysOf(prefix, "cad");

/** The outbox of the CAD's events to one destination. */
export const destinationKeys = (prefix: string, destination: string): OutboxKeys => keysOf(prefix, `to:${destination}`);

function keysOf(prefix: string, outbox: string): OutboxKeys {
  const base = `{${prefix}}:${outbox}`;
  const cad = `{${prefix}}:cad`;
  return {
    base,
    cad,
    queue: { prefix: `{${prefix}}`, name: "emit" },
    record: (id) => `${base}:record:${id}`,
    settledChannel: (id) => `${base}:settled:${id}`,
    controlChannel: `${cad}:control`,
    runnable: `${base}:runnable`,
    ready: `${base}:ready`,
    awake: `${base}:awake`,
    readyChannel: `${base}:ready`,
    open: `${base}:open`,
    dead: `${base}:dead`,
    held: `${base}:held`,
    waiting: `${base}:waiting`,
    unconfirmed: `${base}:unconfirmed`,
    counts: `${base}:counts`,
    lease: `${cad}:lease`,
    owner: `${cad}:owner`,
    rooms: `${cad}:rooms`,
    health: `${cad}:health`,
    uptime: `${cad}:uptime`,
    history: `${cad}:history`,
    workers: `${cad}:workers`,
    store: `${cad}:store`,
  };
}
