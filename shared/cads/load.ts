import { z } from "zod";
import { ConfigError } from "../config/config.ts";
import { listFaults, parseLocated } from "../config/located-text.ts";
import { type ReadSecret, readSecretFile, whyUnreadable } from "../config/secret-files.ts";
import { type Fault, faultsOf } from "../util/issues.ts";
import { crossFaults } from "./check.ts";
import { type CadEntry, cadEntry, cadsFile } from "./schema.ts";

const outline = z.object({ cads: z.array(z.unknown()) });

/** A CAD of the file, and the prefix of its keys in Redis. */
export interface Cad {
  entry: CadEntry;
  id: string;
  prefix: string;
}

/** Looks at what the file's own schema cannot: answers what is wrong with one CAD, each fault below `cads[i]`. */
export type CheckCad = (cad: Cad) => readonly Fault[];

/**
 * The CADs of CADS_FILE. Throws a ConfigError that lists all that is wrong with its line and place in the file, never with a value.
 * @param prefix REDIS_PREFIX: a CAD's own is that with its id behind it, unless the file names one
 */
export function loadCads(file: string, prefix: string, read: ReadSecret, check: CheckCad = () => []): Cad[] {
  let text: string;
  try {
    text = readSecretFile(file, read);
  } catch (error) {
    throw new ConfigError([`CADS_FILE: the file that it names ${whyUnreadable(error)}`]);
  }
  return parseCads("CADS_FILE", text, prefix, check);
}

/** The same of a text. @param name the variable that has it */
export function parseCads(name: string, text: string, prefix: string, check: CheckCad = () => []): Cad[] {
  const problems: string[] = [];
  const parsed = parseLocated(text, (problem) => void problems.push(`${name}: ${problem}`));
  if (!parsed) throw new ConfigError(problems);
  const prefixOf = (entry: Pick<CadEntry, "id" | "redis_prefix">) => entry.redis_prefix ?? `${prefix}-${entry.id}`;
  const { error } = cadsFile.safeParse(parsed.raw);
  // Each by itself: what is wrong with one CAD hides nothing of the others.
  const cads = (outline.safeParse(parsed.raw).data?.cads ?? []).map((raw): Cad | undefined => {
    const entry = cadEntry.safeParse(raw).data;
    return entry && { entry, id: entry.id, prefix: prefixOf(entry) };
  });
  const faults = [
    ...faultsOf(error?.issues ?? []),
    ...crossFaults(parsed.raw, prefixOf),
    ...cads.flatMap((cad, i) =>
      cad ? check(cad).map((fault) => ({ ...fault, path: ["cads", i, ...fault.path] })) : [],
    ),
  ];
  problems.push(...listFaults(faults, parsed).map((fault) => `${name}: ${fault}`));
  if (problems.length > 0) throw new ConfigError(problems);
  return cads.filter((cad) => cad !== undefined);
}
