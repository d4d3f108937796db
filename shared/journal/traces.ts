import type { Redis } from "ioredis";
import { createAuthenticator } from "../outbox/authentic.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { openIfAuthentic, storeClear } from "../sealing/clear.ts";
import { toTraceparent } from "../tracing/traceparent.ts";
import type { Span, Tracer } from "../tracing/tracer.ts";
import type { NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";

/** What the MAC of an entry's trace is bound to. */
const traceId = (journal: string, ref: string): string => JSON.stringify([journal, ref]);

/** The trace of an entry as it is stored; undefined if it has none. */
export const storeTrace = (sealer: Sealer, journal: string, ref: string, span: Span | undefined) =>
  span?.traceparent === undefined ? undefined : storeClear(sealer, "trace", traceId(journal, ref), span.traceparent);

/** The trace of an entry again; undefined if it has none, or none that is to be believed. */
export const openEntryTrace = (sealer: Sealer, journal: string, ref: string, stored: string): string | undefined =>
  stored === "" ? undefined : toTraceparent(openIfAuthentic(sealer, "trace", traceId(journal, ref), stored));

/** The commands of this bridge among these ids, each with the trace that it was accepted with. */
export async function tracesOfCommands(
  redis: Redis,
  { cad }: JournalKeys,
  sealer: Sealer,
  ids: readonly string[],
  onForged: (what: string) => void,
): Promise<ReadonlyMap<string, string | undefined>> {
  const authentic = createAuthenticator(sealer, cad);
  const open = (id: string, stored: string): string | undefined => {
    try {
      return authentic.openTrace(id, stored);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      if (error.code === "tampered") onForged("trace");
      return undefined;
    }
  };
  const found = await Promise.all(ids.map((id) => redis.hmget(`${cad}:record:${id}`, "kind", "trace")));
  return new Map(
    ids.flatMap((id, i) => {
      const [kind, trace] = found[i] ?? [];
      return kind ? [[id, trace ? open(id, trace) : undefined] as const] : [];
    }),
  );
}

/**
 * The span of an entry that the CAD brought about: it continues the trace of the command that it is the echo of, or begins one.
 * None for what the bridge itself has to say.
 */
export function beginEntry(
  tracer: Tracer,
  { kind, event, recovered }: NewEntry,
  own: { traceparent: string | undefined } | undefined,
  ageMs: number,
): Span | undefined {
  if (kind === "bridge" && !own) return undefined;
  // The name of an event that is in no table comes from outside.
  const name = kind === "event" || kind === "bridge" ? event : "other";
  const attributes = {
    "socket_bridge.event": name,
    "socket_bridge.recovered": recovered === true ? "true" : undefined,
  };
  return tracer.start("journal", own?.traceparent, attributes, ageMs);
}
