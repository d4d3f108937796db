import type { Log } from "../../shared/util/log.ts";
import { type ReadSecret, readSecretFile, whyUnreadable } from "../../shared/config/secret-files.ts";

/**
 * The CAD's token, read anew whenever it is asked for, which is at every connection: so it rotates without a restart. A
 * file that holds none any more leaves the last good one in place, and a warning.
 *
 * @param first what the file held at the start, or the token itself where there is no file
 */
export function tokenSource(
  first: string,
  file: string | undefined,
  read: ReadSecret,
  log: Log,
  variable = "CAD_BACKEND_AUTH_TOKEN",
): () => string {
  let good = first;
  return () => {
    if (file === undefined) return good;
    try {
      good = readSecretFile(file, read).trim();
    } catch (error) {
      log.warn(
        { reason: `${variable}_FILE: the file that it names ${whyUnreadable(error)}` },
        "the token stays the last good one",
      );
    }
    return good;
  };
}
