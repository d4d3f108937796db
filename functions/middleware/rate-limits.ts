import type { Context, Hono } from "hono";
import { routePath } from "hono/route";
import { commands } from "../../shared/commands/table.ts";
import { Problem } from "../http/problem.ts";
import type { CallerEnv } from "../http/caller.ts";
import { limitedAddress } from "../http/client-address.ts";
import type { TakePoints } from "../backend/redis-rate-limiter.ts";
import type { Granted, Policy, Quotas } from "../config/quotas.ts";

/** Maximum number of requests granted to a process at once: saves asking Redis for each one. */
const MAX_CHUNK = 200;
/** Bytes are granted in larger numbers than requests. */
const MAX_CHUNKS: Readonly<Partial<Record<Policy, number>>> = { "token-bytes": 256 * 1024 };
/** For a small quota, a chunk is a hundredth of it, so that several processes share it fairly. */
const CHUNKS = 100;
/** The part of a chunk that is left when the next one is requested. */
const ASK_AT = 0.25;
/** Maximum number of clients in memory; the first seen is evicted. */
const MAX_CLIENTS = 20_000;
/** Validity of a grant without Redis, ms. */
const UNASKED_MS = 1000;

/** A client's remaining share. */
interface Share {
  left: number;
  /** What all processes together had left when this was granted. */
  beyond: number;
  until: number;
  /** Number of requests refused since. */
  refused: number;
}

export interface Admission {
  admitted: boolean;
  remaining: number;
  resetSeconds: number;
  /** The first refusal of its kind for a while, which is recorded. */
  first: boolean;
}

/**
 * Fetches a share of each client's quota ahead of its requests and hands it out one by one. No request waits for another
 * one's fetch: the edge does not allow it.
 */
export function createLimiter(quotas: Quotas, take: TakePoints, now: () => number) {
  const shares = new Map<string, Share>();
  /** Since when a whole chunk is being fetched; meanwhile others fetch a single request. */
  const asking = new Map<string, number>();
  const valid = (share: Share | undefined): share is Share => share !== undefined && now() < share.until;

  async function ask(policy: Policy, client: string, points: number): Promise<Granted> {
    // Without Redis the request fails for the same reason, or does not need it.
    const unasked = { granted: points, remaining: quotas[policy], resetMs: UNASKED_MS };
    return await take(policy, client, points).catch(() => unasked);
  }

  function keep(key: string, { granted, remaining, resetMs }: Granted): Share {
    const known = shares.get(key);
    const until = now() + resetMs;
    // Updates the shared object: every holder must see what the others take.
    if (valid(known)) return Object.assign(known, { left: known.left + granted, beyond: remaining, until });
    const share = { left: granted, beyond: remaining, until, refused: 0 };
    if (shares.size >= MAX_CLIENTS && !known) shares.delete(shares.keys().next().value ?? "");
    shares.set(key, share);
    return share;
  }

  async function more(policy: Policy, client: string, key: string, chunk: number, cost: number): Promise<Share> {
    const first = now() - (asking.get(key) ?? -Infinity) > UNASKED_MS;
    if (first) asking.set(key, now());
    const granted = await ask(policy, client, first ? Math.max(chunk, cost) : cost);
    if (first) asking.delete(key);
    return keep(key, granted);
  }

  /** @param cost 1 for a request; for `token-bytes`, its bytes */
  return async (policy: Policy, client: string, cost = 1): Promise<Admission> => {
    const key = `${policy} ${client}`;
    const chunk = Math.max(1, Math.min(MAX_CHUNKS[policy] ?? MAX_CHUNK, Math.floor(quotas[policy] / CHUNKS)));
    let share = shares.get(key);
    if (!valid(share)) share = await more(policy, client, key, chunk, cost);
    else if (share.beyond > 0) {
      // Fetches before all is used up, so that other requests need not.
      const low = share.left <= chunk * ASK_AT && !asking.has(key);
      if (share.left < cost || low) share = await more(policy, client, key, chunk, cost);
    }
    const admitted = share.left >= cost;
    if (admitted) share.left -= cost;
    else share.refused += 1;
    return {
      admitted,
      remaining: share.left + share.beyond,
      resetSeconds: Math.max(1, Math.ceil((share.until - now()) / 1000)),
      first: !admitted && share.refused === 1,
    };
  };
}

const LATEST_WINS: ReadonlySet<string> = new Set(commands.filter((c) => c.latestWins).map((c) => `/${c.name}`));

export interface LimitOptions {
  quotas: Quotas;
  take: TakePoints;
  basePath: string;
  now: () => number;
}

/**
 * Limits the requests of each client. Responses report it by draft-ietf-httpapi-ratelimit-headers-10.
 *
 * Positions and other latest-wins commands are coalesced while they wait, so they do not fill the backlog. They are counted
 * separately: a flood of positions does not get an assignment of the same token refused.
 */
export function limitRequests(app: Hono<CallerEnv>, { quotas, take, basePath, now }: LimitOptions): void {
  const limiter = createLimiter(quotas, take, now);

  async function admit(c: Context<CallerEnv>, policy: Policy, client: string, cost = 1): Promise<void> {
    if (quotas[policy] === 0) return;
    const { admitted, remaining, resetSeconds, first } = await limiter(policy, client, cost);
    // A response reports one limit of its subject: that of requests, unless it is refused for its bytes.
    if (policy === "token-bytes" && admitted) return;
    // Omits the address's limit while it is far away: every header costs each answer 2 us.
    if (policy === "address" && remaining > quotas.address / 2) return;
    c.header("RateLimit-Policy", `"${policy}";q=${quotas[policy]}${UNITS[policy] ?? ""};w=${quotas.windowSeconds}`);
    c.header("RateLimit", `"${policy}";r=${remaining};t=${resetSeconds}`);
    if (admitted) return;
    if (!first) c.set("alike", true);
    throw new Problem("too-many-requests", WHOSE[policy], { policy }, { "Retry-After": String(resetSeconds) });
  }

  app.use("*", async (c, next) => {
    const address = limitedAddress(c.get("clientAddress"));
    c.set("admitCaller", (subject) => {
      const path = routePath(c).slice(basePath.length);
      return admit(c, LATEST_WINS.has(path) ? "latest-wins" : "token", subject);
    });
    c.set("admitBytes", (subject, bytes) => {
      const latest = LATEST_WINS.has(routePath(c).slice(basePath.length));
      return admit(c, "token-bytes", latest ? `latest-wins ${subject}` : `token ${subject}`, bytes);
    });
    c.set("admitStranger", () => admit(c, "unauthenticated", address));
    await admit(c, "address", address);
    await next();
  });
}

/** A quota unit other than requests, as in the draft. */
const UNITS: Readonly<Partial<Record<Policy, string>>> = { "token-bytes": ';qu="content-bytes"' };

const WHOSE = {
  token: "The token's subject has exceeded its rate limit.",
  "latest-wins": "The token's subject has exceeded its rate limit for positions and metrics.",
  "token-bytes": "The token's subject has exceeded its rate limit in bytes.",
  address: "This address has exceeded its rate limit.",
  unauthenticated: "This address has exceeded its rate limit for requests without a valid token.",
} as const satisfies Record<Policy, string>;
