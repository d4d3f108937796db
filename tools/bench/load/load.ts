import { randomBytes } from "node:crypto";
import { withDeadline } from "../../../shared/util/sleep.ts";
import { nowMs } from "../measure/clock.ts";
import { statusBody } from "./fleet.ts";
import { HttpConnection } from "./http-connection.ts";

export interface Target {
  port: number;
  path: string;
  token?: string;
  /** Each request has a new Idempotency-Key. */
  idempotency: boolean;
}

export interface ClosedLoop extends Target {
  clients: number;
  seconds: number;
}
export interface Accepted {
  accepted: number;
  seconds: number;
}

export interface OpenLoop extends Target {
  perSecond: number;
  seconds: number;
}
/** Due time and send time of each command, by id. */
export interface Sent {
  ids: string[];
  dueMs: number[];
  sentMs: number[];
}

/** Connections of an open loop: that many requests may be unanswered before one has to wait. */
const CONNECTIONS = 128;
const LAST_ANSWERS_MS = 5000;

/** Each client sends its next request when the previous one is answered. Throws if one is not accepted. */
export async function closedLoop(job: ClosedLoop): Promise<Accepted> {
  const request = requests(job);
  const connections = await openAll(job.port, job.clients);
  const began = nowMs();
  const until = began + job.seconds * 1000;
  let accepted = 0;
  try {
    const client = async (connection: HttpConnection) => {
      while (nowMs() < until) {
        idOf(await connection.send(request()));
        accepted += 1;
      }
    };
    await Promise.all(connections.map(client));
    return { accepted, seconds: (nowMs() - began) / 1000 };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Sends at fixed times, independently of the answers: a stalled server is charged for everything that became due meanwhile. */
export async function openLoop(job: OpenLoop): Promise<Sent> {
  const request = requests(job);
  const connections = await openAll(job.port, CONNECTIONS);
  const free = [...connections];
  const sent: Sent = { ids: [], dueMs: [], sentMs: [] };
  const failures: unknown[] = [];
  const answered: Promise<unknown>[] = [];

  async function send(n: number, connection: HttpConnection): Promise<void> {
    sent.sentMs[n] = nowMs();
    try {
      sent.ids[n] = idOf(await connection.send(request()));
    } finally {
      free.push(connection);
    }
  }
  const began = nowMs() + 10;
  const count = Math.round(job.perSecond * job.seconds);
  try {
    for (let n = 0; n < count; n += 1) {
      const due = began + (n * 1000) / job.perSecond;
      sent.dueMs[n] = due;
      let connection: HttpConnection | undefined;
      do await sleepUntil(due);
      while (!(connection = free.shift()));
      answered.push(send(n, connection).catch((error: unknown) => failures.push(error)));
    }
    await withDeadline(Promise.all(answered), LAST_ANSWERS_MS, "waiting for the last answers");
    if (failures.length > 0) throw failures[0];
    return sent;
  } finally {
    for (const connection of connections) connection.close();
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Sleeps in the kernel, because timers are only accurate to a millisecond and a busy loop would take a core from what is
 * measured; then lets Node read the answers received meanwhile.
 */
export async function sleepUntil(at: number): Promise<void> {
  Atomics.wait(never, 0, 0, Math.max(0, at - nowMs()));
  await new Promise(setImmediate);
}

const openAll = (port: number, count: number) =>
  Promise.all(Array.from({ length: count }, () => HttpConnection.open(port)));

/** Builds the next request, ready to send. */
function requests({ path, token, idempotency }: Target): () => string {
  const key = randomBytes(12).toString("hex");
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Content-Type: application/json",
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
  ].join("\r\n");
  let n = 0;
  return () => {
    const body = JSON.stringify(statusBody(n, 1));
    n += 1;
    const once = idempotency ? `\r\nIdempotency-Key: ${key}-${n}` : "";
    return `${head}${once}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
}

/** The command's id if the server accepted it; the bare servers have none. */
function idOf({ status, body }: { status: number; body: string }): string {
  if (status !== 202) throw new Error(`a request was answered ${status}: ${body.slice(0, 500)}`);
  return /"command_id":"([^"]+)"/.exec(body)?.[1] ?? "";
}
