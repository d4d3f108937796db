import { type Connection, request } from "./request.ts";
import { sleep } from "./retry.ts";
import type { CommandBodies, CommandName, CommandResult, Receipt, SendOptions } from "./types.ts";

/** The method of each command. A command of the table without one does not compile. */
export const METHODS = {
  "assignments/send": "sendAssignment",
  "units/location": "updateUnitLocation",
  "units/status": "updateUnitStatus",
  incidents: "createIncident",
  "incidents/status": "updateIncidentStatus",
  "incidents/timestamp": "updateIncidentTimestamp",
  "transport/completed": "notifyTransportCompleted",
  "metrics/broadcast": "broadcastMetrics",
  "rooms/join": "joinRoom",
  "rooms/leave": "leaveRoom",
} as const satisfies Record<CommandName, string>;

type Send<Name extends CommandName> = (body: CommandBodies[Name], options?: SendOptions) => Promise<CommandResult>;

export type Commands = { [Name in CommandName as (typeof METHODS)[Name]]: Send<Name> } & {
  /** Sends any command by its path below the base URL. */
  send<Name extends CommandName>(
    command: Name,
    body: CommandBodies[Name],
    options?: SendOptions,
  ): Promise<CommandResult>;
};

/** Maximum that the bridge waits within one request, s. */
const MAX_WAIT_S = 30;
/** Pause before a state that is not final is read again, although time was left, ms. */
const ASK_AGAIN_MS = 500;

/** 128 bits; `crypto.randomUUID` is missing on pages without https. */
export const newKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** The methods of all commands. Each resolves once the bridge has accepted the command or, with `wait`, once its state is final. */
export function createCommands(connection: Connection, timeoutMs: number, deadlineMs: number): Commands {
  async function send(command: CommandName, body: unknown, options: SendOptions = {}): Promise<CommandResult> {
    const idempotencyKey = options.idempotencyKey ?? newKey();
    const text = JSON.stringify(body);
    const until = performance.now() + (options.wait ?? 0) * 1000;
    for (;;) {
      const wait = waitFor(until);
      const answer = await request(connection, {
        method: "POST",
        path: `/${command}`,
        headers: headersOf(idempotencyKey, wait, options.ttlSeconds),
        body: text,
        attemptMs: timeoutMs + wait * 1000,
        deadlineMs: (options.deadlineMs ?? deadlineMs) + wait * 1000,
        signal: options.signal,
      }).catch((error: unknown) => {
        throw Object.assign(error as object, { idempotencyKey });
      });
      const result = toResult(answer.body, idempotencyKey, answer.headers.has("Idempotency-Replayed"));
      if (result.receipt || waitFor(until) === 0) return result;
      // The same request again: the bridge recognises it by its key and keeps waiting.
      await sleep(ASK_AGAIN_MS, options.signal);
    }
  }

  const methods = Object.entries(METHODS).map(([name, method]) => [
    method,
    (body: unknown, options?: SendOptions) => send(name as CommandName, body, options),
  ]);
  // The keys are the methods of the table; each takes its command's body.
  return { ...Object.fromEntries(methods), send } as Commands;
}

/** How many whole seconds the bridge should wait in the next request. */
const waitFor = (until: number): number =>
  Math.min(MAX_WAIT_S, Math.max(0, Math.ceil((until - performance.now()) / 1000)));

const headersOf = (key: string, wait: number, ttlSeconds: number | undefined): Record<string, string> => ({
  "Content-Type": "application/json",
  "Idempotency-Key": key,
  ...(wait > 0 && { Prefer: `wait=${wait}` }),
  ...(ttlSeconds !== undefined && { "Command-TTL": String(ttlSeconds) }),
});

type Answered = Omit<CommandResult, "receipt" | "idempotencyKey" | "replayed"> & Partial<Receipt>;

function toResult(body: unknown, idempotencyKey: string, replayed: boolean): CommandResult {
  const { success, message, command_id, status, ...more } = body as Answered;
  const receipt = more.final ? ({ ...more, command_id, status } as Receipt) : undefined;
  return { success, message, command_id, status, receipt, idempotencyKey, replayed };
}
