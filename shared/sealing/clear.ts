import { SealError, type Sealer } from "./seal.ts";

/** Kind of a clear text, included in its MAC, so that one cannot replace another. */
export type ClearKind =
  | ("state" | "heartbeat" | "destination" | "rules" | "enable" | "pause" | "cursor" | "handled" | "heard" | "gap")
  | ("room" | "problem" | "page" | "uptime" | "minute" | "attempts" | "trace" | "unit-move");

/**
 * A clear text behind its MAC; unchanged without keys.
 * @param id where it is stored, and anything else it must be bound to
 */
export function storeClear(sealer: Sealer, kind: ClearKind, id: string, text: string): string {
  const mac = sealer.mac([kind, id, text]);
  return mac === "" ? text : `${mac} ${text}`;
}

/** Verifies the MAC and returns the text. Throws SealError. */
export function openClear(sealer: Sealer, kind: ClearKind, id: string, stored: string): string {
  const [, mac, text = stored] = /^(mac:\S+) (.*)$/s.exec(stored) ?? [];
  sealer.verify([kind, id, text], mac);
  return text;
}

/**
 * The text, or undefined if it is forged. For data that can be missed: a changed record counts as deleted.
 * @param onForged called for an invalid MAC, but not for a missing one, which may be from before there were keys
 */
export function openIfAuthentic(
  sealer: Sealer,
  kind: ClearKind,
  id: string,
  stored: string,
  onForged: () => void = () => undefined,
): string | undefined {
  try {
    return openClear(sealer, kind, id, stored);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    if (error.code === "tampered") onForged();
    return undefined;
  }
}
