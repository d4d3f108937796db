import type { Sealer } from "./seal.ts";

/** What a text in clear is: it goes into its MAC, so that one cannot be put in the place of another. */
export type ClearKind = "state" | "heartbeat" | "destination" | "rules" | "enable" | "pause" | "cursor" | "attempts";

/**
 * A text that stands in the clear, behind its MAC; alone without keys.
 * @param id what it is stored under, and whatever else it must not be shown as
 */
export function storeClear(sealer: Sealer, kind: ClearKind, id: string, text: string): string {
  const mac = sealer.mac([kind, id, text]);
  return mac === "" ? text : `${mac} ${text}`;
}

/** The text again. Throws SealError. */
export function openClear(sealer: Sealer, kind: ClearKind, id: string, stored: string): string {
  const [, mac, text = stored] = /^(mac:\S+) (.*)$/s.exec(stored) ?? [];
  sealer.verify([kind, id, text], mac);
  return text;
}
