import { withDeadline } from "../../shared/util/sleep.ts";
import type { CadEndpoint } from "./endpoint.ts";
import { exchange } from "./http-exchange.ts";
import { HttpStatusError } from "./connection-fault.ts";

/** A node that does not answer within this time is tried last, ms. */
const PROBE_MS = 2000;
const MAX_PROBE_BYTES = 64 * 1024;

/**
 * The nodes of one CAD. The one that answers fastest is used and kept; a connection that fails moves on to the next. Once all have
 * failed they are measured anew. A connection that was ready and broke goes to the same node first: only that one can recover
 * what was missed.
 */
export interface Nodes {
  /** The URL of the node to connect to. */
  pick(signal: AbortSignal): Promise<string>;
  /** The selected node could not be connected to. */
  failed(): void;
}

/** Answers in how many ms a node answered; undefined if it did not. Never rejects. */
export type ProbeNode = (url: string, signal: AbortSignal) => Promise<number | undefined>;

export function createNodes(urls: readonly string[], probe: ProbeNode): Nodes {
  const [only = ""] = urls;
  /** Those that were not tried yet since they were measured, the present one first. */
  let left: readonly string[] = [];
  return {
    async pick(signal) {
      if (urls.length < 2) return only;
      if (left.length === 0) {
        const times = await Promise.all(urls.map(async (url) => ({ url, ms: (await probe(url, signal)) ?? Infinity })));
        // Of equals, in their order: a sort is stable.
        left = times.toSorted((a, b) => (a.ms === b.ms ? 0 : a.ms - b.ms)).map(({ url }) => url);
      }
      return left[0] ?? only;
    },
    failed: () => void (left = left.slice(1)),
  };
}

/** Asks a node's Engine.IO for nothing, which it answers at once and opens no session for. */
export function createProbe({ path = "/socket.io", headers = {}, tls = {} }: CadEndpoint): ProbeNode {
  return async (url, signal) => {
    const from = performance.now();
    const options = { method: "GET", body: undefined, headers, tls, maxBytes: MAX_PROBE_BYTES } as const;
    const within = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]);
    const asked = exchange(new URL(`${path.replace(/\/$/, "")}/`, url), { ...options, signal: within });
    const answered = await withDeadline(asked, PROBE_MS + 100, "the answer of a node").then(
      () => true,
      (error: unknown) => error instanceof HttpStatusError && error.status < 500,
    );
    return answered ? performance.now() - from : undefined;
  };
}
