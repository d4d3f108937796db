import { z } from "zod";
import { readBounded } from "../../shared/util/read-bounded.ts";
import { whyUnreachable } from "../../shared/util/reason.ts";

/** How long the functions may take to accept a canary, ms. */
const ACCEPT_MS = 5000;
/** How much of their answer is read, bytes. */
const MAX_ANSWER = 16_384;

/** The functions did not accept a canary; the message says why. */
export class NotAccepted extends Error {
  override name = "NotAccepted";
}

const accepted = z.object({ command_id: z.string().min(1).max(100) });
const problem = z.object({ code: z.string().regex(/^[a-z-]{1,50}$/) });

export interface CanaryRequest {
  /** CANARY_URL: the base URL of the API. */
  url: string;
  token: string;
  unit: string;
  ttlSeconds: number;
}

/** Posts a canary to the functions, as a service would; answers the command's id. Throws NotAccepted. */
export async function postCanary({ url, token, unit, ttlSeconds }: CanaryRequest): Promise<string> {
  const response = await ask(`${url.replace(/\/+$/, "")}/units/status`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      "Command-TTL": String(ttlSeconds),
    },
    body: JSON.stringify({ unit_id: unit, status: "available" }),
  });
  const answer = await readJson(response);
  const { data } = accepted.safeParse(answer);
  if (response.status === 202 && data) return data.command_id;
  const code = problem.safeParse(answer).data?.code;
  throw new NotAccepted(`the functions answered ${response.status}${code === undefined ? "" : ` (${code})`}`);
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(ACCEPT_MS) });
  } catch (error) {
    throw new NotAccepted(whyUnreachable(error, "the functions", ACCEPT_MS));
  }
}

/** The answer; undefined if it is no JSON, or is too long to be one of the functions'. */
async function readJson(response: Response): Promise<unknown> {
  try {
    return JSON.parse(await readBounded(response, MAX_ANSWER));
  } catch {
    return undefined;
  }
}
