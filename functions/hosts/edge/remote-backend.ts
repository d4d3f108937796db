import type { DurableObjectNamespace } from "cloudflare:workers";
import type { Log } from "../../../shared/util/log.ts";
import { reasonOf } from "../../../shared/util/reason.ts";
import { RedisFault } from "../../../shared/redis/fault.ts";
import { SealError } from "../../../shared/sealing/seal.ts";
import { withDeadline } from "../../../shared/util/sleep.ts";
import type { Backend } from "../../backend/backend.ts";
import type { CadBackend } from "./cad-backend.ts";
import { type Arguments, type Call, CALL_MS, type CallResult, type Reply } from "./calls.ts";

/** The request has reached the platform's limit of calls. */
export class CallsUsedUp extends Error {
  override name = "CallsUsedUp";
}

export interface RemoteOptions {
  objects: DurableObjectNamespace<CadBackend>;
  /** REDIS_PREFIX, which identifies a CAD backend. */
  prefix: string;
  shards: number;
  random: () => number;
  log: Log;
}

/**
 * A Backend whose work a Durable Object does. Every call ends, whatever happens to the object; a lost call counts as Redis
 * being down, since its outcome is equally unknown.
 */
export function remoteBackend({ objects, prefix, shards, random, log }: RemoteOptions): Backend {
  async function call<C extends Call>(name: C, args: Arguments<C>, waitMs = 0): Promise<Reply<C>> {
    // Any shard will do: Redis orders the commands. A new stub each time, since a broken one stays broken.
    const shard = Math.floor(random() * shards);
    const object = objects.getByName(`${prefix}:${shard}`);
    let outcome: CallResult<Reply<C>>;
    try {
      const answer = object.call(name, args) as Promise<CallResult<Reply<C>>>;
      outcome = await withDeadline(answer, CALL_MS[name] + waitMs, name);
    } catch (error) {
      // The platform's limit of calls per request, which a stream reaches eventually: not an outage, and waiting does not help.
      if (/too many subrequests/i.test(String(error))) throw new CallsUsedUp();
      log.warn({ call: name, shard, reason: reasonOf(error) }, "a durable object did not answer");
      throw new RedisFault("unavailable");
    }
    if (outcome.ok) return outcome.value;
    if (outcome.fault === "unforeseen") throw new Error("a call failed in the durable object: see its log");
    if (outcome.fault === "sealed") throw new SealError(outcome.code, outcome.reason);
    throw new RedisFault(outcome.fault, outcome.reason);
  }

  return {
    accept: (message) => call("accept", [message]),
    read: (id, destination) => call("read", [id, destination]),
    readSettled: (id, ms) => call("readSettled", [id, ms], ms),
    backlog: () => call("backlog", []),
    queued: () => call("queued", []),
    lastHeartbeat: () => call("lastHeartbeat", []),
    askReconnect: () => call("askReconnect", []),
    listDead: (query, destination) => call("listDead", [query, destination]),
    redrive: (id, newId, note, destination) => call("redrive", [id, newId, note, destination]),
    reveal: (id, destination) => call("reveal", [id, destination]),
    findCommands: (query) => call("findCommands", [query]),
    listQueues: () => call("listQueues", []),
    readQueue: (key, limit) => call("readQueue", [key, limit]),
    readHold: ({ id, keys, state, held }) => call("readHold", [{ id, keys, state, held }]),
    history: () => call("history", []),
    destinations: () => call("destinations", []),
    figures: () => call("figures", []),
    isDestination: (id) => call("isDestination", [id]),
    enableDestination: (id) => call("enableDestination", [id]),
    pauseDestination: (id, reason) => call("pauseDestination", [id, reason]),
    destination: (id) => call("destination", [id]),
    askReplay: (destination, request) => call("askReplay", [destination, request]),
    sendTest: (destination, id, at) => call("sendTest", [destination, id, at]),
    readTimeline: (incident, since, until) => call("readTimeline", [incident, since, until]),
    note: (note, outcome, command) => call("note", [note, outcome, command]),
    takePoints: (policy, client, points) => call("takePoints", [policy, client, points]),
    listAudit: (query) => call("listAudit", [query]),
    discardDead: (id, destination) => call("discardDead", [id, destination]),
    readEvents: (after, limit, ms) => call("readEvents", [after, limit, ms], ms),
    listEvents: (query) => call("listEvents", [query]),
    readEvent: (id) => call("readEvent", [id]),
    seenIn: (incident) => call("seenIn", [incident]),
    rememberIncident: (incident, cad) => call("rememberIncident", [incident, cad]),
    readState: (kind, id) => call("readState", [kind, id]),
    listState: (kind, query) => call("listState", [kind, query]),
    // The runtime ends a worker when no request is in progress.
    endWaits: () => undefined,
    close: async () => undefined,
  };
}
