import { commandNamed } from "../../../shared/commands/table.ts";
import { isEchoOf } from "../../../worker/cad/echo.ts";
import type { Happened } from "../hosts/cad-host.ts";
import type { PlannedCommand } from "../hosts/workload.ts";

const CONTEXT = { commandId: "", userId: "", role: "admin", issuedAt: "" } as const;
/** For how long a broadcast is on its way to a worker at most, one that is frozen included, ms. */
const ON_ITS_WAY_MS = 10_000;
/** How far a worker's idea of Redis's clock, by which it settles, may be off after it was frozen, ms. */
const CLOCK_MS = 1000;

/**
 * The one claim beyond what is known that docs/concepts.md concedes (Attribution of echoes): a CAD whose echoes keep no ids
 * broadcast the same values of the same unit for another client while the command went unanswered.
 *
 * @param span when the command was accepted and settled, ms since 1970
 */
export function answersAnother(
  { kind, body }: Pick<PlannedCommand, "kind" | "body">,
  happened: readonly Happened[],
  span: { accepted: number; settled: number },
): boolean {
  const command = commandNamed(kind);
  if (!command?.echo) return false;
  const { echo } = command;
  const { payload } = command.wire(command.body.parse(body), CONTEXT);
  return happened.some(
    ({ event, payload: heard, at }) =>
      event === echo.event &&
      at >= span.accepted - ON_ITS_WAY_MS &&
      at <= span.settled + CLOCK_MS &&
      isEchoOf(echo, payload, heard, ""),
  );
}
