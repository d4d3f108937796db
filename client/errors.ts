import type { Receipt } from "../shared/commands/receipt.ts";

/** Codes reported by the client itself; every other `code` is one of the bridge's problem codes (docs/api.md, Errors). */
const CLIENT_HINTS = {
  network: "Check the URL and the network. A command can be repeated with the same Idempotency-Key.",
  timeout: "The bridge did not answer in time. A command can be repeated with the same Idempotency-Key.",
  "token-unavailable": "The cause says why there is no token.",
  aborted: "The caller's signal aborted the request.",
  "unexpected-response": "Something between client and bridge answered: check the URL and the proxies.",
  "handler-failed": "A handler of the stream threw: its event is not handled again.",
} as const;
export type ClientCode = keyof typeof CLIENT_HINTS;

/** A problem+json body (RFC 9457) of the bridge, with the fields that every client knows. */
export interface ProblemDetails {
  code: string;
  title: string;
  detail: string;
  hint: string;
  status: number;
  errors?: { pointer: string; detail: string }[];
  command_id?: string;
  receipt?: Receipt;
  oldest?: string | null;
}

export interface ErrorContext {
  status?: number | undefined;
  problem?: ProblemDetails | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Every error of the client. `message` contains nothing of the sent payload. */
export class SocketBridgeError extends Error {
  override name = "SocketBridgeError";
  readonly code: string;
  /** What to do next. */
  readonly hint: string;
  /** The HTTP status; undefined if there was no answer. */
  readonly status: number | undefined;
  readonly problem: ProblemDetails | undefined;
  /** The delay that the bridge asks for, ms. */
  readonly retryAfterMs: number | undefined;
  /** Number of requests made. */
  attempts = 1;
  /** For commands: the key with which to repeat the command. */
  idempotencyKey: string | undefined;
  /** Whether an attempt went unanswered, so that the command may have been accepted. */
  mayBeAccepted = false;

  constructor(code: string, message: string, hint: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.hint = hint;
    this.status = context.status;
    this.problem = context.problem;
    this.retryAfterMs = context.retryAfterMs;
  }
}

export const clientError = (code: ClientCode, message: string, context: ErrorContext = {}): SocketBridgeError =>
  new SocketBridgeError(code, message, CLIENT_HINTS[code], context);

/** Retry-After in seconds or as a date (RFC 9110, 10.2.3), as ms from now; undefined if it is neither. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** Converts an answer other than success to an error. */
export function errorOf(status: number, headers: Headers, body: unknown): SocketBridgeError {
  const wait = retryAfterMs(headers.get("Retry-After"), Date.now());
  if (isProblem(body))
    return new SocketBridgeError(body.code, body.detail, body.hint, { status, problem: body, retryAfterMs: wait });
  return clientError("unexpected-response", `The answer was ${status} without a problem code.`, {
    status,
    retryAfterMs: wait,
  });
}

function isProblem(body: unknown): body is ProblemDetails {
  const { code, detail, hint } = (body ?? {}) as Partial<Record<string, unknown>>;
  return typeof code === "string" && typeof detail === "string" && typeof hint === "string";
}
