/**
 * node --import: shifts the wall clock of a process by the milliseconds in the file CHAOS_CLOCK, read ten times per
 * second. The monotonic clock and the timers are unaffected, as when a real clock is set.
 */
import { readFileSync } from "node:fs";

const file = process.env["CHAOS_CLOCK"] ?? "";
const realNow = Date.now;
let offset = 0;

setInterval(() => {
  try {
    offset = Number(readFileSync(file, "utf8")) || 0;
  } catch {
    offset = 0;
  }
}, 100).unref();

const now = () => realNow() + offset;
Date.now = now;
globalThis.Date = new Proxy(Date, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length > 0 ? args : [now()], newTarget) as object,
  apply: () => new Date(now()).toString(),
});
