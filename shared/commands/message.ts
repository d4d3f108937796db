import type { NewMessage } from "../outbox/outbox.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { Command } from "./command.ts";

/**
 * A command in the outbox's form: sealed, and with a fingerprint of everything that makes it the same request.
 * @param body as parsed by the command's schema
 */
export async function toMessage(
  sealer: Sealer,
  command: Command,
  body: Parameters<Command["keys"]>[0],
  request: Pick<NewMessage, "id" | "user" | "role" | "ttlSeconds" | "idempotencyKey" | "traceparent">,
): Promise<NewMessage> {
  const text = JSON.stringify(body);
  return {
    ...request,
    kind: command.name,
    keys: command.keys(body),
    body: await sealer.seal("command", request.id, text),
    fingerprints: sealer.fingerprints(JSON.stringify([command.name, request.ttlSeconds ?? null, text])),
    latestWins: command.latestWins ?? false,
  };
}
