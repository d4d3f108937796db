import type { Context, Hono } from "hono";
import { routePath } from "hono/route";
import { commands } from "../../shared/commands/table.ts";
import { Problem } from "../http/problem.ts";
import type { CallerEnv } from "../http/caller.ts";
import { limitedAddress } from "../http/client-address.ts";
import type { TakePoints } from "../backend/redis-rate-limiter.ts";
import type { Granted, Policy, Quotas } from "../config/quotas.ts";

/** How many requests a process has granted to it at once, at most: Redis is asked once for so many, and not for each. */
const MAX_CHUNK = 200;
/** Bytes are counted in larger numbers than requests. */
const MAX_CHUNKS: Readonly<Partial<Record<Policy, number>>> = { "token-bytes": 256 * 1024 };
/** Of a small quota it is a hundredth, so that several processes share it fairly. */
const CHUNKS = 100;
/** What is left of a chunk when the next one is asked for. */
const ASK_AT = 0.25;
/** How many clients are remembered; the one that was first seen gives way. */
const MAX_CLIENTS = 20_000;
/** While nobody can be asked, so much is granted at once, and for so long, ms. */
const UNASKED_MS = 1000;

/** What one client may still do. */
interface Share {
  left: number;
  /** What all processes together had left when this was granted. */
  beyond: number;
  until: number;
  /** How many were refused since. */
  refused: number;
}

export interface Admission {
  admitted: boolean;
  remaining: number;
  resetSeconds: number;
  /** The first refusal of its kind for a while: this one is worth a note. */
  first: boolean;
}

/**
 * Asks for a share of each client's quota ahead of its requests, and hands it out one by one. No request waits for what
 * another one asked: at the edge none may.
 */
export function createLimiter(quotas: Quotas, take: TakePoints, now: () => number) {
  const shares = new Map<string, Share>();
  /** Since when somebody asks for a whole chunk; meanwhile others who need one ask for a single request. */
  const asking = new Map<string, number>();
  const valid = (share: Share | undefined): share is Share => share !== undefined && now() < share.until;

  async function ask(policy: Policy, client: string, points: number): Promise<Granted> {
    // If nobody can be asked, the request itself will fail for the same reason, or needs nobody.
    const unasked = { granted: points, remaining: quotas[policy], resetMs: UNASKED_MS };
    return await take(policy, client, points).catch(() => unasked);
  }

  function keep(key: string, { granted, remaining, resetMs }: Granted): Share {
    const known = shares.get(key);
    const until = now() + resetMs;
    // The same object for all who hold it: what one takes of it the others must see.
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
      // One asks before all is used up, so that the others need not.
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
 * Positions and other commands that replace each other are coalesced where they wait, so many of them fill nothing up. They
 * count by themselves: a unit that floods its position has no assignment refused that comes from the same token.
 */
export function limitRequests(app: Hono<CallerEnv>, { quotas, take, basePath, now }: LimitOptions): void {
  const limiter = createLimiter(quotas, take, now);

  async function admit(c: Context<CallerEnv>, policy: Policy, client: string, cost = 1): Promise<void> {
    if (quotas[policy] === 0) return;
    const { admitted, remaining, resetSeconds, first } = await limiter(policy, client, cost);
    // A response reports one limit of its subject: that of requests, unless it is refused for its bytes.
    if (policy === "token-bytes" && admitted) return;
    // Of its address a client need not know while it is far from its limit: every header costs every answer 2 us.
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

/** A unit other than requests, as the draft writes it. */
const UNITS: Readonly<Partial<Record<Policy, string>>> = { "token-bytes": ';qu="content-bytes"' };

const WHOSE = {
  token: "The token's subject has exceeded its rate limit.",
  "latest-wins": "The token's subject has exceeded its rate limit for positions and metrics.",
  "token-bytes": "The token's subject has exceeded its rate limit in bytes.",
  address: "This address has exceeded its rate limit.",
  unauthenticated: "This address has exceeded its rate limit for requests without a valid token.",
} as const satisfies Record<Policy, string>;
