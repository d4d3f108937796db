import { faultsOf } from "../../shared/util/issues.ts";
import { oneLine } from "../../shared/util/one-line.ts";

/**
 * Every problem that a response may report (RFC 9457). A code never changes its meaning: clients branch on it. `title` is
 * the problem, `hint` the next step.
 */
export const PROBLEMS = {
  "not-json": { status: 400, title: "The body is not JSON", hint: "Send one JSON object, as UTF-8." },
  "unsafe-json": {
    status: 400,
    title: "The body is ambiguous JSON",
    hint: "Send I-JSON (RFC 7493): fix every place named in errors.",
  },
  "invalid-header": { status: 400, title: "A header is invalid", hint: "Fix the header that detail names." },
  unauthenticated: {
    status: 401,
    title: "No valid token",
    hint: "Send Authorization: Bearer with a token that was issued for this bridge and has not expired.",
  },
  forbidden: {
    status: 403,
    title: "The token's role is not sufficient",
    hint: "Use a token with the role in required_role.",
  },
  "wrong-org": {
    status: 403,
    title: "The token belongs to another organisation",
    hint: "Use a token whose org claim is the organisation of this CAD.",
  },
  "outside-units": {
    status: 403,
    title: "The token may not act for this unit",
    hint: "Use a token whose units claim contains the units listed in units, or one without that claim.",
  },
  "not-found": { status: 404, title: "Not found", hint: "Check the path and the id against the API docs." },
  "method-not-allowed": {
    status: 405,
    title: "Method not allowed",
    hint: "Use a method listed in the Allow header.",
  },
  gone: {
    status: 410,
    title: "The entries after this id are no longer available",
    hint: "Read oldest with GET /events/{id} and resume with it as the Last-Event-ID; treat earlier entries as missing.",
  },
  "replay-gone": {
    status: 410,
    title: "The journal no longer reaches back that far",
    hint: "Replay from oldest, and treat earlier events as missing; JOURNAL_DAYS and JOURNAL_MAX say how far it reaches.",
  },
  "replay-running": {
    status: 409,
    title: "A replay to this destination is running",
    hint: "Repeat the request once GET /destinations/{id} shows that it is over.",
  },
  "replay-refused": {
    status: 422,
    title: "The replay cannot be done",
    hint: "Change the request as detail says; a dry run counts what would be sent.",
  },
  "too-large": { status: 413, title: "The body is too large", hint: "Send at most the size that detail names." },
  "not-json-type": {
    status: 415,
    title: "The Content-Type is not JSON",
    hint: "Send Content-Type: application/json.",
  },
  "invalid-body": { status: 422, title: "The body is invalid", hint: "Fix every field named in errors." },
  "invalid-query": { status: 422, title: "The query is invalid", hint: "Fix every parameter named in errors." },
  "undecided-cad": {
    status: 422,
    title: "No CAD could be decided on",
    hint: "Send the request below one of the paths in cads, which address one CAD each. Or name a unit of one CAD, or use a token whose org claim names a CAD's organisation.",
  },
  "other-cad": {
    status: 422,
    title: "The unit belongs to another CAD",
    hint: "Send the request without /cads/{cad} in its path, or with the CAD in cad.",
  },
  "move-refused": {
    status: 422,
    title: "The unit cannot be moved",
    hint: "Fix what detail names. GET /cads lists the CADs.",
  },
  "unit-moving": {
    status: 503,
    title: "A unit is being moved to another CAD",
    hint: "Repeat the request after Retry-After, with the same Idempotency-Key.",
  },
  "idempotency-conflict": {
    status: 422,
    title: "The Idempotency-Key was used for another request",
    hint: "Use a new key for a new request.",
  },
  "unreadable-payload": {
    status: 409,
    title: "The stored payload cannot be opened",
    hint: "Fix what detail names. A payload that was changed can only be discarded.",
  },
  "too-many-requests": {
    status: 429,
    title: "Too many requests",
    hint: "Repeat the request after Retry-After. The RateLimit header says how many are left.",
  },
  "too-many-reads": {
    status: 429,
    title: "Too many concurrent reads of lists",
    hint: "Read pages one after another: request the next one after this one was answered.",
  },
  "too-much-waiting": {
    status: 429,
    title: "Too many commands are waiting",
    hint: "Repeat the request after Retry-After, with the same Idempotency-Key. `bound` says whose commands wait: the token's subject's, or those of one ordering key. GET /health says what they wait for.",
  },
  undeliverable: {
    status: 502,
    title: "The command was not delivered",
    hint: "Read the reason in detail; send the command again once that is fixed.",
  },
  "redis-unavailable": {
    status: 503,
    title: "Redis cannot be reached",
    hint: "Repeat the request after Retry-After, with the same Idempotency-Key.",
  },
  "redis-full": {
    status: 503,
    title: "The backlog is full",
    hint: "Repeat the request after Retry-After, with the same Idempotency-Key.",
  },
  "redis-moving": {
    status: 503,
    title: "Redis is moving the backlog to another node",
    hint: "Repeat the request after Retry-After, with the same Idempotency-Key.",
  },
  "redis-refused": {
    status: 503,
    title: "Redis refuses the bridge",
    hint: "Repeat the request later. Operators: correct user, password and ACL of REDIS_URL.",
  },
  "redis-unsuitable": {
    status: 503,
    title: "The server at REDIS_URL cannot be used",
    hint: "Repeat the request later. Operators: correct REDIS_URL.",
  },
  "keys-unavailable": {
    status: 503,
    title: "The keys for verifying tokens cannot be fetched",
    hint: "Repeat the request after Retry-After. Operators: check JWKS_URL.",
  },
  "too-many-streams": {
    status: 503,
    title: "Too many open streams",
    hint: "Repeat the request after Retry-After, or connect to another process.",
  },
  "no-worker": { status: 503, title: "No worker is running", hint: "Start a worker, or find out why it stopped." },
  "reconnect-timeout": {
    status: 504,
    title: "The bridge did not become ready in time",
    hint: "See /health for what it waits for. It keeps trying.",
  },
  "forged-record": {
    status: 500,
    title: "A stored record was not written by the bridge",
    hint: "It was changed in Redis. Operators: check the audit trail and who can write to Redis.",
  },
  internal: {
    status: 500,
    title: "Internal error",
    hint: "See the log. It is safe to repeat the request with the same Idempotency-Key.",
  },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** Default Retry-After, s. */
const RETRY_AFTER_S = 2;

/** One invalid field: its place (RFC 6901) and the error, never its value. */
export interface WrongField {
  pointer: string;
  detail: string;
}

/** Thrown anywhere below an HTTP handler: becomes a problem+json response. */
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

  /** @param reading whether the request changes nothing: then the hint does not mention an Idempotency-Key */
  toAnswer(reading = false): {
    body: string;
    status: (typeof PROBLEMS)[ProblemCode]["status"];
    headers: Record<string, string>;
  } {
    const { status, title, hint: always } = PROBLEMS[this.code];
    const hint = reading ? always.replace(/, with the same Idempotency-Key|(?<=log\.) It is safe .*$/, "") : always;
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

/** The problem for something that does not exist. @param what its kind @param more other possible reasons */
export const noSuch = (what: string, id: string, more = ""): Problem =>
  new Problem("not-found", `There is no ${what} "${oneLine(id, SHOWN_ID)}"${more}.`);

/** How much of an unknown id is shown, characters: more than the longest command id. */
const SHOWN_ID = 100;

/** Maximum number of invalid fields in one answer. */
const MAX_WRONG = 50;

/** The invalid fields of a body or a query, at most MAX_WRONG. */
export const wrongFields = (issues: Parameters<typeof faultsOf>[0]): WrongField[] =>
  faultsOf(issues)
    .slice(0, MAX_WRONG)
    .map(({ path, message }) => ({ pointer: pointer(path), detail: message }));

/** A body that does not match its schema. */
export const invalidBody = (errors: WrongField[]) =>
  new Problem("invalid-body", `${errors.length === 1 ? "One field is" : `${errors.length} fields are`} invalid.`, {
    errors,
  });
