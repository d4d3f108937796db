import { z } from "zod";
import type { Fault } from "../util/issues.ts";
import { contains, overlap } from "./pattern.ts";
import type { CadEntry } from "./schema.ts";

/** What is looked at across CADs, whatever else is wrong with them: no mistake hides another. */
const strings = z.array(z.string()).optional().catch(undefined);
const outline = z.object({
  cads: z
    .array(
      z
        .looseObject({
          id: z.unknown(),
          owns: z
            .union([z.literal("everything"), z.looseObject({ units: strings })])
            .optional()
            .catch(undefined),
        })
        .catch({ id: undefined, owns: undefined }),
    )
    .catch([]),
});

const TOKENS = ["token", "token_env", "token_file"] as const;

interface Owned {
  cad: number;
  place: number;
  pattern: string;
}

/** What does not fit together in a file of CADs: ids, prefixes, tokens, and what two CADs own. */
export function crossFaults(raw: unknown, prefixOf: (entry: Pick<CadEntry, "id" | "redis_prefix">) => string): Fault[] {
  const { data } = outline.safeParse(raw);
  const cads = data?.cads ?? [];
  const ids = cads.map(({ id }) => id);
  const prefixes = cads.map(({ id, redis_prefix: given }) =>
    typeof id === "string" ? prefixOf({ id, redis_prefix: typeof given === "string" ? given : undefined }) : undefined,
  );
  const everything = cads.flatMap(({ owns }, i) => (owns === "everything" ? [i] : []));
  const units = cads.flatMap(({ owns }, cad): Owned[] =>
    typeof owns === "object" ? (owns.units ?? []).map((pattern, place) => ({ cad, place, pattern })) : [],
  );
  return [
    ...cads.flatMap((entry, i): Fault[] => {
      const given = TOKENS.filter((name) => entry[name] !== undefined);
      const prefix = prefixes[i];
      return [
        ...(typeof entry.id === "string" && ids.indexOf(entry.id) < i
          ? [{ path: ["cads", i, "id"], message: "is the id of one before it" }]
          : []),
        ...(given.length === 1
          ? []
          : [{ path: ["cads", i], message: `needs exactly one of ${TOKENS.join(", ")}, and has ${given.length}` }]),
        ...(prefix !== undefined && prefixes.indexOf(prefix) < i && ids.indexOf(entry.id) === i
          ? [{ path: ["cads", i, "redis_prefix"], message: "gives it the keys in Redis of one before it" }]
          : []),
        ...(prefix !== undefined && prefix.length > 64
          ? [{ path: ["cads", i, "id"], message: "makes a prefix of more than 64 characters with REDIS_PREFIX" }]
          : []),
      ];
    }),
    ...everything.slice(1).map((i) => ({
      path: ["cads", i, "owns"],
      message: "is everything, and so is what one before it owns: at most one CAD may",
    })),
    ...units.flatMap((unit, n) => units.slice(0, n).flatMap((before) => undecided(before, unit))),
  ];
}

/** Two patterns of different CADs that share units, of which neither is the narrower one. */
function undecided(before: Owned, unit: Owned): Fault[] {
  const [a, b] = [before.pattern, unit.pattern];
  if (before.cad === unit.cad || !overlap(a, b) || (a !== b && (contains(a, b) || contains(b, a)))) return [];
  const path = ["cads", unit.cad, "owns", "units", unit.place];
  return [
    { path, message: `shares units with cads[${before.cad}].owns.units[${before.place}], and neither is narrower` },
  ];
}
