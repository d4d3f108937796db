/** How much of an external text is shown, characters. */
export const SHOWN_CHARACTERS = 200;

/**
 * An external text (a CAD's refusal, an error of a library) in a form that can be shown, stored or logged: one line, without control
 * characters, at most `max` characters.
 */
export function oneLine(text: string, max = SHOWN_CHARACTERS): string {
  // Cut first: the text may have megabytes.
  const line = text
    .slice(0, 4 * max)
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}
