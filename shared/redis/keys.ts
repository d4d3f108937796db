/** The names of everything that one outbox has in Redis; FORMAT.md says what each holds. */
export interface OutboxKeys {
  base: string;
  /** The base name of its CAD backend, where lease and owner stand: the same for all outboxes of a bridge. */
  cad: string;
  queue: { prefix: string; name: string };
  record(id: string): string;
  settledChannel(id: string): string;
  controlChannel: string;
  runnable: string;
  /** Of the commands alone: the runnable ones that no worker has taken yet, and the token of the worker that will take them unasked. */
  ready: string;
  awake: string;
  /** Where the worker that is awake hears that `ready` is no longer empty. */
  readyChannel: string;
  open: string;
  dead: string;
  /** Of the commands alone: dead letters that hold their place. */
  held: string;
  waiting: string;
  unconfirmed: string;
  counts: string;
  lease: string;
  owner: string;
  rooms: string;
  health: string;
  /** For how long the CAD was ready in each hour. */
  uptime: string;
  /** How it was in each minute of the last hour, and which workers there are. */
  history: string;
  workers: string;
  /** Which CAD all of this belongs to. */
  store: string;
}

/**
 * The outbox of the commands to the CAD.
 * @param prefix REDIS_PREFIX: what keeps several CAD backends apart in one Redis
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
