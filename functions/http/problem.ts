import { faultsOf } from "../../shared/util/issues.ts";

/**
 * Everything that an answer may complain of (RFC 9457). A code never changes its meaning: clients branch on it.
 * `title` says what is wrong, `hint` what to do next.
 */
export const PROBLEMS = {
  "not-json": { status: 400, title: "The body is not JSON", hint: "Send one JSON object, as UTF-8." },
  "unsafe-json": {
    status: 400,
    title: "The body is JSON that readers take differently",
    hint: "Send I-JSON (RFC 7493); hint every place that is named in errors.",
  },
  "invalid-header": { status: 400, title: "A header is not valid", hint: "Mend the header that is named." },
  unauthenticated: {
    status: 401,
    title: "No valid token",
    hint: "Send Authorization: Bearer with a token that is signed for this bridge and has not expired.",
  },
  forbidden: {
    status: 403,
    title: "The token's role may not do this",
    hint: "Use a token with the role that is named.",
  },
  "wrong-org": {
    status: 403,
    title: "The token is of another organisation",
    hint: "Use a token whose claim org is the organisation that this CAD belongs to.",
  },
  "outside-units": {
    status: 403,
    title: "The token may not act for this unit",
    hint: "Use a token whose claim units names the units that are named, or one without that claim.",
  },
  "not-found": { status: 404, title: "There is nothing here", hint: "Look up the path, or the id, in the API docs." },
  "method-not-allowed": {
    status: 405,
    title: "The path does not take this method",
    hint: "Use a method of the Allow header.",
  },
  gone: {
    status: 410,
    title: "What followed this entry is not there any more",
    hint: "Take oldest, by GET /events/{id} and as the Last-Event-ID to go on from: what was before it is missing.",
  },
  "too-large": { status: 413, title: "The body is too large", hint: "Send at most as much as detail says." },
  "not-json-type": {
    status: 415,
    title: "The body is not declared as JSON",
    hint: "Send Content-Type: application/json.",
  },
  "invalid-body": { status: 422, title: "The body does not fit", hint: "Mend every field that is named in errors." },
  "idempotency-conflict": {
    status: 422,
    title: "The Idempotency-Key stands for another request",
    hint: "Use a new key for a new request.",
  },
  "unreadable-payload": {
    status: 409,
    title: "The stored payload cannot be opened",
    hint: "Mend what the detail names. One that was changed can only be discarded.",
  },
  "too-many-requests": {
    status: 429,
    title: "Too many requests",
    hint: "Send it again after Retry-After. The RateLimit header says how many are left.",
  },
  undeliverable: {
    status: 502,
    title: "The command was not delivered",
    hint: "Read its reason; send it again once that is mended.",
  },
  "redis-unavailable": {
    status: 503,
    title: "The backlog cannot be reached",
    hint: "Send it again after Retry-After, with the same Idempotency-Key.",
  },
  "redis-full": {
    status: 503,
    title: "The backlog has no room",
    hint: "Send it again after Retry-After, with the same Idempotency-Key.",
  },
  "keys-unavailable": {
    status: 503,
    title: "The keys that tokens are verified with cannot be reached",
    hint: "Send it again after Retry-After. Whoever runs the bridge: see to JWKS_URL.",
  },
  "too-many-streams": {
    status: 503,
    title: "As many streams are open as may be",
    hint: "Try again after Retry-After, or ask another process.",
  },
  "no-worker": { status: 503, title: "No worker is running", hint: "Start the worker, or look into why it stopped." },
  "reconnect-timeout": {
    status: 504,
    title: "The bridge was not ready again in time",
    hint: "Look at /health for what it waits for. It goes on trying.",
  },
  internal: {
    status: 500,
    title: "The bridge failed",
    hint: "Look into its log. Repeating with the same Idempotency-Key is harmless.",
  },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** The seconds that a client is asked to wait before it tries again. */
const RETRY_AFTER_S = 2;

/** One wrong field: where it is (RFC 6901) and what is wrong with it, never its value. */
export interface WrongField {
  pointer: string;
  detail: string;
}

/** Thrown anywhere below an HTTP handler: becomes a problem+json answer. */
export class Problem extends Error {
  override name = "Problem";
  readonly code: ProblemCode;
  /** Members beside the standard ones, such as `errors` or `command_id`. */
  readonly more: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(
    code: ProblemCode,
    detail: string,
    more: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ) {
    super(detail);
    this.code = code;
    this.more = more;
    this.headers = headers;
  }

  toAnswer(): { body: string; status: (typeof PROBLEMS)[ProblemCode]["status"]; headers: Record<string, string> } {
    const { status, title, hint } = PROBLEMS[this.code];
    const type = `urn:problem-type:socket-bridge:${this.code}`;
    const retry = status === 503 ? { "Retry-After": String(RETRY_AFTER_S) } : {};
    return {
      body: JSON.stringify({ ...this.more, type, title, status, code: this.code, detail: this.message, hint }),
      status,
      headers: { ...retry, ...this.headers, "Content-Type": "application/problem+json" },
    };
  }

  toResponse(): Response {
    const { body, ...init } = this.toAnswer();
    return new Response(body, init);
  }
}

/** A JSON pointer (RFC 6901). */
export const pointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** Every wrong field of a body or a query. */
export const wrongFields = (issues: Parameters<typeof faultsOf>[0]): WrongField[] =>
  faultsOf(issues).map(({ path, message }) => ({ pointer: pointer(path), detail: message }));
