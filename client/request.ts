import { clientError, errorOf, SocketBridgeError } from "./errors.ts";
import { isUnanswered, pauseBefore, sleep } from "./retry.ts";

/** Limit of an answer's size, characters: a page of anything the client requests is smaller. */
const MAX_ANSWER = 4 * 1024 * 1024;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Connection {
  /** The API's base URL, without a trailing slash. */
  url: string;
  token: () => string | Promise<string>;
  fetch: Fetch;
  random: () => number;
}

export interface Ask {
  method: "GET" | "POST";
  path: string;
  headers?: Record<string, string>;
  body?: string;
  /** Time limits of one attempt and of all attempts together, ms. */
  attemptMs: number;
  deadlineMs: number;
  signal?: AbortSignal | undefined;
  /** Whether an answer other than 2xx is a valid result. */
  accepts?: (status: number, body: unknown) => boolean;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}

/** Sends a request until it has a final answer or the deadline has passed. All attempts are identical to the byte. */
export async function request(connection: Connection, ask: Ask): Promise<Answer> {
  const until = performance.now() + ask.deadlineMs;
  const left = () => until - performance.now();
  let mayBeAccepted = false;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(connection, ask, Math.min(ask.attemptMs, left()));
    } catch (error) {
      if (!(error instanceof SocketBridgeError)) throw error;
      mayBeAccepted ||= isUnanswered(error);
      const pause = pauseBefore(error, attempt, left(), connection.random);
      if (pause === undefined) throw Object.assign(error, { attempts: attempt, mayBeAccepted });
      await sleep(pause, ask.signal);
      if (ask.signal?.aborted)
        throw Object.assign(clientError("aborted", "Aborted between two attempts.", { cause: error }), {
          attempts: attempt,
          mayBeAccepted,
        });
    }
  }
}

async function once(connection: Connection, ask: Ask, ms: number): Promise<Answer> {
  const { status, headers, text } = await withTimeout(ms, ask.signal, async (signal) => {
    const response = await send(connection, ask, signal);
    return { status: response.status, headers: response.headers, text: await readText(response) };
  });
  const body = parsed(text);
  if ((status >= 200 && status < 300) || ask.accepts?.(status, body)) return { status, headers, body };
  throw errorOf(status, headers, body);
}

/** One request with the token. Redirects are not followed: they would leak the token. */
export async function send(
  connection: Connection,
  ask: Pick<Ask, "method" | "path" | "headers" | "body">,
  signal: AbortSignal,
) {
  const headers = { ...ask.headers, Authorization: `Bearer ${await tokenOf(connection)}` };
  const init: RequestInit = { method: ask.method, headers, signal, redirect: "manual" };
  return connection.fetch(`${connection.url}${ask.path}`, ask.body === undefined ? init : { ...init, body: ask.body });
}

async function tokenOf({ token }: Connection): Promise<string> {
  try {
    return await token();
  } catch (cause) {
    throw clientError("token-unavailable", "The function that returns the token failed.", { cause });
  }
}

/** Runs a fetch and converts its failure to the client's errors. */
export async function withTimeout<T>(
  ms: number,
  caller: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, Math.max(0, ms));
  if (caller?.aborted) abort();
  caller?.addEventListener("abort", abort, { once: true });
  try {
    // For a `fetch` that ignores its signal.
    return await Promise.race([run(controller.signal), aborted(controller.signal)]);
  } catch (cause) {
    if (cause instanceof SocketBridgeError) throw cause;
    if (caller?.aborted) throw clientError("aborted", "Aborted by the caller.", { cause });
    if (controller.signal.aborted) throw clientError("timeout", `No answer within ${Math.round(ms)} ms.`, { cause });
    throw clientError("network", "The bridge could not be reached, or the connection broke.", { cause });
  } finally {
    clearTimeout(timer);
    caller?.removeEventListener("abort", abort);
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const end = () => reject(new Error("aborted"));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });

async function readText(response: Response): Promise<string> {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
    if (text.length <= MAX_ANSWER) continue;
    await reader.cancel();
    throw clientError("unexpected-response", `The answer is longer than ${MAX_ANSWER} characters.`);
  }
  return text + decoder.decode();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
