import { createHash } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { Agent, buildConnector, type Dispatcher, request } from "undici";
import { NotOwner } from "../../shared/outbox/owned.ts";
import { literalAddress, isPublic, PrivateAddress, publicLookup } from "./address.ts";
import { toTraceparent } from "../../shared/tracing/traceparent.ts";
import type { Destination } from "./routes.ts";

/** How much of an answer is read, bytes: it says nothing that matters. */
const MAX_ANSWER = 16_384;
/** How long a destination is left alone that asks for less without saying how long, ms. */
const BUSY_MS = 10_000;

/** What a destination said to one message. Reasons are words for people, without anything of the payload. */
export type DeliveryResult =
  | { result: "ok"; status: number }
  | { result: "gone"; status: number; reason: string }
  | { result: "busy"; status: number; inMs: number; reason: string }
  /** `unreachable`: no answer came, so the message is not to blame. */
  | { result: "failed"; status: number | null; reason: string; unreachable: boolean };

export interface Sender {
  /**
   * Throws NotOwner: then it was not sent, and the destination is not to blame.
   * @param body a CloudEvent in structured mode, as JSON
   * @param traceparent the trace that the request is part of
   */
  send(body: string, traceparent?: string): Promise<DeliveryResult>;
  /** Whether it answers at all; sends it no data. */
  reach(): Promise<{ status: number } | { reason: string }>;
  /** Takes no more, and ends once what is being sent was answered. */
  end(): Promise<void>;
  /** Cuts what is being sent. */
  close(): Promise<void>;
}

type Target = Pick<Destination, "url" | "secrets" | "headers" | "timeoutMs">;

/** The connector that refuses what is not public. Names are looked at when they are resolved, for the connection itself. */
function publicConnector(timeout: number): buildConnector.connector {
  const connect = buildConnector({ timeout, lookup: publicLookup, allowH2: false });
  return (options, callback) => {
    const literal = literalAddress(options.hostname);
    if (literal !== undefined && !isPublic(literal)) return callback(new PrivateAddress(), null);
    connect(options, callback);
  };
}

/**
 * Asks once more right before a request is written: it may have waited for its connection while the process was frozen, and
 * another may own the CAD by now.
 */
const askingOnce =
  (mayEmit: () => boolean): Dispatcher.DispatcherComposeInterceptor =>
  (dispatch) =>
  (options, handler) =>
    dispatch(
      options,
      new Proxy(handler, {
        get(inner, name) {
          const method: unknown = Reflect.get(inner, name);
          if (name !== "onRequestStart") return typeof method === "function" ? method.bind(inner) : method;
          return (controller: Dispatcher.DispatchController, context: unknown) => {
            inner.onRequestStart?.(controller, context);
            if (!mayEmit()) controller.abort(new NotOwner());
          };
        },
      }),
    );

/**
 * @param places how many requests it sends at once
 * @param mayEmit true as long as this worker surely owns the CAD
 */
export function createSender(
  target: Target,
  allowPrivate: boolean,
  places: number,
  mayEmit: () => boolean = () => true,
): Sender {
  const { url, timeoutMs } = target;
  const signers = target.secrets.map((secret) => new Webhook(secret));
  const agent = new Agent({
    connections: places,
    connect: allowPrivate ? { timeout: timeoutMs, allowH2: false } : publicConnector(timeoutMs),
  }).compose(askingOnce(mayEmit));

  async function ask(method: "POST" | "OPTIONS", headers: Record<string, string>, body?: string) {
    const answer = await request(url, {
      method,
      headers: { ...target.headers, ...headers, "user-agent": "socket-bridge" },
      body: body ?? null,
      dispatcher: agent,
      signal: AbortSignal.timeout(timeoutMs),
    });
    // The status says it all: whatever comes of the rest changes nothing.
    await answer.body.dump({ limit: MAX_ANSWER }).catch(() => undefined);
    return answer;
  }

  return {
    async send(body, traceparent) {
      const id = webhookId(body);
      const now = new Date();
      const headers = {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
        "webhook-signature": signers.map((signer) => signer.sign(id, now, body)).join(" "),
        ...(traceparent !== undefined && { traceparent }),
      };
      try {
        const answer = await ask("POST", headers, body);
        return classifyResponse(answer.statusCode, answer.headers["retry-after"], now);
      } catch (error) {
        if (error instanceof NotOwner) throw error;
        return { result: "failed", status: null, reason: whyUnreachable(error, timeoutMs), unreachable: true };
      }
    },
    async reach() {
      try {
        return { status: (await ask("OPTIONS", {})).statusCode };
      } catch (error) {
        return { reason: whyUnreachable(error, timeoutMs) };
      }
    },
    end: () => agent.close(),
    close: () => agent.destroy(),
  };
}

/**
 * The same for every attempt at an event, and for a dead letter that is sent again: receivers know a repeat by it. It has no dot,
 * which would be ambiguous in what is signed.
 */
export function webhookId(body: string): string {
  const { source, id } = JSON.parse(body) as { source: string; id: string };
  return `evt_${createHash("sha256")
    .update(JSON.stringify([source, id]))
    .digest("base64url")
    .slice(0, 27)}`;
}

/** The trace that an event belongs to; undefined if it belongs to none. */
export function traceparentOf(body: string): string | undefined {
  if (!body.includes('"traceparent"')) return undefined;
  const { traceparent } = JSON.parse(body) as { traceparent?: unknown };
  return typeof traceparent === "string" ? toTraceparent(traceparent) : undefined;
}

/** By Standard Webhooks: 2xx is success, 410 the end, 429 a request for less; all else is a failure, and tried again. */
export function classifyResponse(status: number, retryAfter: string | string[] | undefined, now: Date): DeliveryResult {
  if (status >= 200 && status < 300) return { result: "ok", status };
  if (status === 410) return { result: "gone", status, reason: "it answered 410: it wants no more events" };
  const asked = waitOf(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, now);
  if (status === 429 || (status === 503 && asked !== undefined))
    return { result: "busy", status, inMs: asked ?? BUSY_MS, reason: `it answered ${status} and asks to wait` };
  const more = status >= 300 && status < 400 ? ", a redirect, which is not followed" : "";
  return { result: "failed", status, reason: `it answered ${status}${more}`, unreachable: false };
}

/** Retry-After in seconds or as a date (RFC 9110, 10.2.3), as ms from now; undefined if it is neither. */
function waitOf(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

function whyUnreachable(error: unknown, timeoutMs: number): string {
  if (error instanceof PrivateAddress) return error.message;
  const { name, code } = error as { name?: string; code?: string };
  if (name === "TimeoutError" || code === "UND_ERR_CONNECT_TIMEOUT") return `it did not answer within ${timeoutMs} ms`;
  return `it cannot be reached (${code ?? name ?? "unknown"})`;
}
