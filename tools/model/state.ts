/** What the model knows of the world: one state of Redis, two workers, the CAD, and how many faults may still strike. */

/** A command of a scenario. Its index is its place in the order of acceptance. */
export interface CommandModel {
  /** Which of the two ordering keys it has. */
  keys: readonly ("A" | "B")[];
  /** A newer one takes the place of one that waits right before it. */
  latestWins?: true;
  /** If the CAD rejects it, it holds its place until it is redriven or discarded. */
  holds?: true;
  /** The one that it sends again, in its place, if that is held. Such commands come last, and no client appends them. */
  redriveOf?: number;
  /** How the CAD shows that it handled it. `write`: its ack or echo follows a write; `relay`: an echo that proves no write; `none`: nothing. */
  answer: "write" | "relay" | "none";
  /** It sets a value, so that sending it again is harmless; else it adds something. */
  sets: boolean;
}

/** Absent, waiting, sent, a dead letter that holds its place, or one of the final states with what proves it. */
export type RecordState =
  | "absent"
  | "queued"
  | "sent"
  | "held"
  | "confirmed"
  | "relayed"
  | "received"
  | "unconfirmed"
  | "rejected"
  | "superseded";

/** Nobody sends it any more. */
export const isSettled = (state: RecordState): boolean => state !== "absent" && state !== "queued" && state !== "sent";
/** Nor does anything wait for what becomes of it. */
export const isFinal = (state: RecordState): boolean => isSettled(state) && state !== "held";

/**
 * What a worker does with a command. `due`: to be claimed; `claimed`: it may be emitted; `waiting`: emitted, no answer yet; the
 * rest: its outcome, to be settled.
 */
export type Task =
  | "idle"
  | "due"
  | "claimed"
  | "waiting"
  | "confirmed"
  | "relayed"
  | "received"
  | "unconfirmed"
  | "rejected";

export interface WorkerModel {
  life: "up" | "frozen" | "dead";
  /** The epoch of the lease that it believes to hold; 0: it stands by. */
  epoch: number;
  tasks: Task[];
}

export interface Faults {
  crash: number;
  freeze: number;
  /** A reply of Redis that never arrives, although the script ran. */
  lostReply: number;
  /** An emit job that is never added, or is lost. */
  lostWakeUp: number;
  /** An emit job that is run again although its command is final. */
  staleJob: number;
  /** Redis restarts and has lost its last write. */
  lostWrite: number;
  /** The worker cannot renew its lease. */
  lapse: number;
  /** The CAD's database stops. */
  database: number;
  /** The connection to the CAD breaks. */
  disconnect: number;
  /** A slot migration begins: scripts reach a node that has none of the keys. */
  migration: number;
}

export interface State {
  /** How many of the scenario's commands a client has sent. */
  appended: number;
  /** Accepted with a 202. */
  accepted: boolean[];
  queues: { A: number[]; B: number[] };
  records: RecordState[];
  /** How often each was emitted, up to MAX_SENDS. */
  sends: number[];
  runnable: boolean[];
  /** The runnable ones that no worker has taken. */
  ready: boolean[];
  /** The epoch of the worker that is awake; 0: it sleeps, and an append adds an emit job. */
  awake: number;
  /** Emit jobs that wait in BullMQ. */
  jobs: boolean[];
  lease: "free" | "held";
  /** Of the last owner. */
  epoch: number;
  workers: [WorkerModel, WorkerModel];
  database: "up" | "down";
  slot: "here" | "migrating";
  /** Whether each reached the CAD, and whether it was written there. */
  delivered: boolean[];
  stored: boolean[];
  faults: Faults;
}

export const cloneOf = (s: State): State => ({
  ...s,
  accepted: [...s.accepted],
  queues: { A: [...s.queues.A], B: [...s.queues.B] },
  records: [...s.records],
  sends: [...s.sends],
  runnable: [...s.runnable],
  ready: [...s.ready],
  jobs: [...s.jobs],
  workers: [cloneWorker(s.workers[0]), cloneWorker(s.workers[1])],
  delivered: [...s.delivered],
  stored: [...s.stored],
  faults: { ...s.faults },
});

const cloneWorker = (w: WorkerModel): WorkerModel => ({ ...w, tasks: [...w.tasks] });

export function initialState(commands: readonly CommandModel[], faults: Faults): State {
  const each = <T>(value: T): T[] => commands.map(() => value);
  const worker = (): WorkerModel => ({ life: "up", epoch: 0, tasks: each<Task>("idle") });
  return {
    appended: 0,
    accepted: each(false),
    queues: { A: [], B: [] },
    records: each<RecordState>("absent"),
    sends: each(0),
    runnable: each(false),
    ready: each(false),
    awake: 0,
    jobs: each(false),
    lease: "free",
    epoch: 0,
    workers: [worker(), worker()],
    database: "up",
    slot: "here",
    delivered: each(false),
    stored: each(false),
    faults,
  };
}
