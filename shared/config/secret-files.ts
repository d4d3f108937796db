/** Reads a secret file. Throws UnfitFile, or what `node:fs` throws. */
export type ReadSecret = (path: string) => string;

/** A readable file that cannot be a secret; the message completes "the file that it names …". */
export class UnfitFile extends Error {
  override name = "UnfitFile";
}

/** Above the size of any secret, bytes. */
export const MAX_SECRET_BYTES = 64 * 1024;

/** The content of a secret file without its trailing line break. Throws if it is blank. */
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

/** The secrets from files named in an environment. */
export interface SecretsOfFiles {
  /** Contents of the files, by the variable they replace. */
  contents: Record<string, string>;
  /** Paths of the files, by the same. */
  paths: Record<string, string>;
  problems: string[];
}

/** For every secret NAME, the content of the file in NAME_FILE. Paths are never reported: one may be a secret set by mistake. */
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
