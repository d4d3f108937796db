/** Reads a file of a secret. Throws UnfitFile, or what `node:fs` throws. */
export type ReadSecret = (path: string) => string;

/** A file that can be read, but is none for a secret; the message goes on after "the file that it names". */
export class UnfitFile extends Error {
  override name = "UnfitFile";
}

/** Larger than any secret, in bytes. */
export const MAX_SECRET_BYTES = 64 * 1024;

/** What a file of a secret holds, without the line break at its end. Throws if that is nothing but white space. */
export function readSecretFile(path: string, read: ReadSecret): string {
  const text = read(path).replace(/\r?\n$/, "");
  if (text.trim() === "") throw new UnfitFile("is empty");
  return text;
}

/** Why a file could not be used, without its path or content. */
export function whyUnreadable(error: unknown): string {
  if (error instanceof UnfitFile) return error.message;
  const { code } = error as { code?: unknown };
  return `cannot be read${typeof code === "string" ? ` (${code})` : ""}`;
}

/** The secrets that an environment names files for. */
export interface SecretsOfFiles {
  /** What the files hold, by the variable that they stand for. */
  contents: Record<string, string>;
  /** Where they are, by the same. */
  paths: Record<string, string>;
  problems: string[];
}

/** For every secret NAME, the content of the file named by NAME_FILE. No path is reported: it may be a secret set by mistake. */
export function readSecrets(
  names: readonly string[],
  given: Readonly<Record<string, string | undefined>>,
  read: ReadSecret | undefined,
): SecretsOfFiles {
  const found: SecretsOfFiles = { contents: {}, paths: {}, problems: [] };
  for (const name of names) {
    const path = given[`${name}_FILE`];
    if (path === undefined) continue;
    found.paths[name] = path;
    if (!read) found.problems.push(`${name}_FILE: files are not available on this host; set ${name} itself`);
    else if (given[name] !== undefined)
      found.problems.push(`${name}: is set, and so is ${name}_FILE; set only one of them`);
    else {
      try {
        found.contents[name] = readSecretFile(path, read);
      } catch (error) {
        found.problems.push(`${name}_FILE: the file that it names ${whyUnreadable(error)}`);
      }
    }
  }
  return found;
}
