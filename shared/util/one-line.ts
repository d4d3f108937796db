/** How much of a text that came from outside is shown, characters. */
export const SHOWN_CHARACTERS = 200;

/**
 * A text from outside (a CAD's refusal, an error of a library) as it may be shown, stored or logged: on one line, without
 * control characters, and at most `max` characters long.
 */
export function oneLine(text: string, max = SHOWN_CHARACTERS): string {
  // What is cut off anyway is not searched: the text may have megabytes.
  const line = text
    .slice(0, 4 * max)
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}
