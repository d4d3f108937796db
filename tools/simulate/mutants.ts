import type { Edit } from "./hooks.ts";

/** A bug that is seeded into the source: this text of this file becomes that one. */
interface Mutant {
  what: string;
  file: string;
  from: string;
  to: string;
}

const mutant = (what: string, file: string, from: string, to: string): Mutant => ({ what, file, from, to });

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "claim-without-lease": mutant(
    "a claim does not check that the lease is this worker's",
    "shared/outbox/claim.ts",
    "if not owner then return {'not-owner'} end",
    "",
  ),
};

/** Puts a bug into the code as it is loaded. `check` throws if its text was not there: it would test nothing. */
export function editOf(name: string): { edit: Edit; check(): void } {
  const seeded = MUTANTS[name];
  if (!seeded) throw new Error(`there is no mutant ${name}`);
  let found = 0;
  return {
    edit(file, source) {
      if (file !== seeded.file) return undefined;
      found = source.split(seeded.from).length - 1;
      return source.replace(seeded.from, () => seeded.to);
    },
    check() {
      if (found !== 1)
        throw new Error(
          `mutant ${name}: ${seeded.file} has its text ${found} times, not once; adapt tools/simulate/mutants.ts`,
        );
    },
  };
}
