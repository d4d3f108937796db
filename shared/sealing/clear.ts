import { SealError, type Sealer } from "./seal.ts";

/** What a text in clear is: it goes into its MAC, so that one cannot be put in the place of another. */
export type ClearKind =
  | ("state" | "heartbeat" | "destination" | "rules" | "enable" | "pause" | "cursor" | "handled" | "heard" | "gap")
  | ("room" | "problem" | "page" | "uptime" | "minute" | "attempts" | "trace");

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

/**
 * The text again; undefined if it is not to be believed. For what can do without: a record that was changed is as good as deleted.
 * @param onForged called if somebody without a key changed it; not for one without a MAC, which may be from before there were keys
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
