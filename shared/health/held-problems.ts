import type { Held } from "../outbox/backlog.ts";
import { secondsBetween, type Micros } from "../util/time.ts";
import { type Found, found } from "./problems.ts";

/** The problem of dead letters that hold their place; `count` is their number. */
export function heldProblems({ count, since, behind }: Held, now: Micros): Found[] {
  if (count === 0) return [];
  const began = since === undefined ? {} : { since: new Date(since / 1000), oldestSeconds: secondsBetween(since, now) };
  return [found("dead-letter-held", { count, behind }, { count, ...began })];
}
