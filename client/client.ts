import { createCommands, type Commands } from "./commands.ts";
import type { SocketBridgeError } from "./errors.ts";
import { type Connection, type Fetch, request } from "./request.ts";
import { createSubscriptions, type Subscriptions } from "./subscriptions.ts";
import type { HealthStatus, Receipt } from "./types.ts";

export { SocketBridgeError } from "./errors.ts";
export type * from "./types.ts";

const TIMEOUT_MS = 10_000;
const DEADLINE_MS = 60_000;
const SILENCE_MS = 45_000;

export interface SocketBridgeOptions {
  /** Base URL of the API, such as https://bridge.example.org/api/socket-bridge. */
  url: string;
  /** A JWT, or a function that returns one, called before every request. */
  token: string | (() => string | Promise<string>);
  /** Time limit of one request, ms; 10 s by default. */
  timeoutMs?: number;
  /** Time limit of all attempts of a call together, ms; 60 s by default. */
  deadlineMs?: number;
  /** Silence after which a stream is reopened, ms; 45 s by default, three heartbeats of the bridge. */
  silenceMs?: number;
  /** Where the stream starts: the last id passed to `onPosition`. By default, with new entries. */
  position?: string;
  /** Called with the id of each entry once its handlers have finished: store it, to resume after a restart. */
  onPosition?: (id: string) => void;
  /** Called with errors of the stream, which continues by itself. `gone`: entries are missing. By default logged to the console. */
  onError?: (error: SocketBridgeError) => void;
  fetch?: Fetch;
  random?: () => number;
}

export interface SocketBridge extends Commands, Subscriptions {
  /** The receipt of a command. */
  getCommand(id: string): Promise<Receipt>;
  /** GET /health: an unhealthy bridge is a result too, not an error. */
  getHealthStatus(): Promise<HealthStatus>;
}

/** A client of the bridge. Throws only SocketBridgeError, except a TypeError for invalid options. */
export function createSocketBridge(options: SocketBridgeOptions): SocketBridge {
  const { timeoutMs = TIMEOUT_MS, deadlineMs = DEADLINE_MS, silenceMs = SILENCE_MS, token } = options;
  const connection: Connection = {
    url: new URL(options.url).href.replace(/\/+$/, ""),
    token: typeof token === "string" ? () => token : token,
    // Browsers require it to be called without a receiver.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    random: options.random ?? Math.random,
  };
  const get = async (path: string, accepts?: (status: number, body: unknown) => boolean): Promise<unknown> => {
    const ask = { method: "GET", path, attemptMs: timeoutMs, deadlineMs } as const;
    return (await request(connection, accepts ? { ...ask, accepts } : ask)).body;
  };
  return {
    ...createCommands(connection, timeoutMs, deadlineMs),
    ...createSubscriptions({
      connection,
      timeoutMs,
      silenceMs,
      position: options.position,
      onPosition: options.onPosition ?? (() => undefined),
      onError: options.onError ?? warn,
    }),
    getCommand: async (id) => (await get(`/commands/${encodeURIComponent(id)}`)) as Receipt,
    getHealthStatus: async () => (await get("/health", isHealth)) as HealthStatus,
  };
}

const isHealth = (status: number, body: unknown): boolean =>
  status === 503 && typeof body === "object" && body !== null && "bridge" in body;

/** The message of a handler's own error may contain anything, so it is not logged. */
function warn(error: SocketBridgeError): void {
  // oxlint-disable-next-line no-console -- a library has no logger; `onError` takes its place
  console.warn(`socket bridge: ${error.code}: ${error.message} ${error.hint}`);
}
