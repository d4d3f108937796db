import { z } from "zod";
import { commands } from "../../shared/commands/table.ts";

/** What counts as confirmation: the CAD's ack, its echo, whichever of the two comes first, or receipt alone. */
export const CONFIRM_MODES = ["auto", "ack", "echo", "barrier"] as const;
export type ConfirmMode = (typeof CONFIRM_MODES)[number];

/** How each event is confirmed: what confirms one is a property of the event, not of the CAD. */
export type ConfirmModes = (event: string) => ConfirmMode;

const EVENTS = new Set(commands.flatMap((command) => command.emits));

const modeNamed = (text: string): ConfirmMode | undefined =>
  // Former versions called it fence.
  text === "fence" ? "barrier" : CONFIRM_MODES.find((mode) => mode === text);

/** What is wrong with CAD_CONFIRM. */
export class ConfirmModesError extends Error {
  override name = "ConfirmModesError";
}

/**
 * Parses CAD_CONFIRM: one mode for every event, and `event=mode` for those that differ, such as `auto,unit:status=barrier`. Throws
 * ConfirmModesError.
 */
export function parseConfirmModes(text: string): ConfirmModes {
  let byDefault: ConfirmMode = "auto";
  const events = new Map<string, ConfirmMode>();
  for (const [i, part] of text
    .split(/[\s,]+/)
    .filter(Boolean)
    .entries()) {
    const [event, given = ""] = part.includes("=") ? part.split("=", 2) : [undefined, part];
    const mode = modeNamed(given);
    if (!mode) throw new ConfirmModesError(`the mode must be one of: ${CONFIRM_MODES.join(", ")}`);
    if (event === undefined && i > 0)
      throw new ConfirmModesError("one mode for every event comes first, then event=mode");
    if (event === undefined) byDefault = mode;
    else if (EVENTS.has(event)) events.set(event, mode);
    else throw new ConfirmModesError(`the event must be one of: ${[...EVENTS].join(", ")}`);
  }
  return (event) => events.get(event) ?? byDefault;
}

/** CAD_CONFIRM as text, known to parse. */
export const confirmModesText = z.string().superRefine((text, context) => {
  try {
    parseConfirmModes(text);
  } catch (error) {
    if (!(error instanceof ConfirmModesError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
  }
});
