import { z } from "zod";
import { classify } from "../../shared/events/contract.ts";
import { events } from "../../shared/events/table.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { nameMatches } from "../../shared/journal/filter.ts";
import type { Fault } from "../../shared/util/issues.ts";

/** What is looked at across destinations and rules, whatever else is wrong with them: no mistake hides another. */
const one = z.string().transform((text) => [text]);
const names = z
  .union([one, z.array(z.unknown()).transform((list) => list.map((name) => (typeof name === "string" ? name : "")))])
  .catch([]);
const anything = z.unknown().optional();
const outline = z.object({
  destinations: z
    .array(
      z
        .looseObject({ id: anything, secret: anything, secret_env: anything, secret_file: anything, phi: anything })
        .catch({
          id: undefined,
          secret: "",
          secret_env: undefined,
          secret_file: undefined,
          phi: undefined,
        }),
    )
    .catch([]),
  rules: z
    .array(
      z
        .object({ to: names, events: names, fields: z.array(z.string()).optional().catch(undefined) })
        .catch({ to: [], events: [], fields: undefined }),
    )
    .catch([]),
  other_events: names,
});

const KNOWN: readonly string[] = [...events.map(({ name }) => name), ...Object.values(BRIDGE_EVENTS)];
/** What may be shown of a name that is wrong: it might be a secret in the wrong place. */
const SHOWN = /^[a-z:*-]{1,60}$/;
const quoted = (name: string): string => (SHOWN.test(name) ? ` "${name}"` : " something");

const notCleared = (withPhi: readonly string[], id: string): string =>
  `may send PHI (${withPhi.map((name) => quoted(name).trim()).join(", ")}) to${quoted(id)}, which is not cleared for it (phi-not-cleared): list fields that hold none, or set phi: true on the destination if it may receive PHI`;

/** What does not fit together in a routes file: ids, names of destinations and events, missing secrets. */
export function crossFaults(raw: unknown): Fault[] {
  const { data } = outline.safeParse(raw);
  if (!data) return [];
  const ids = data.destinations.map(({ id }) => id);
  const known = [...KNOWN, ...data.other_events];
  const isKnown = (pattern: string) => known.some((name) => nameMatches(name, pattern));
  return [
    ...data.destinations.flatMap((d, i): Fault[] => [
      ...(typeof d.id === "string" && ids.indexOf(d.id) < i
        ? [{ path: ["destinations", i, "id"], message: "is the id of one before it" }]
        : []),
      ...(d.secret === undefined && d.secret_env === undefined && d.secret_file === undefined
        ? [{ path: ["destinations", i], message: "has none of secret, secret_env and secret_file" }]
        : []),
    ]),
    ...data.rules.flatMap(({ to, events: patterns, fields }, i) => {
      const named = known.filter((name) => patterns.some((pattern) => nameMatches(name, pattern)));
      const phi = named.filter((name) => classify(name, fields) === "phi");
      const uncleared = to.filter((id) => data.destinations.some((d) => d.id === id && d.phi !== true));
      return phi.length === 0 ? [] : uncleared.map((id) => ({ path: ["rules", i], message: notCleared(phi, id) }));
    }),
    ...data.rules.flatMap(({ to, events: patterns }, i): Fault[] => [
      ...to
        .filter((id) => id !== "" && !ids.includes(id))
        .map((id) => ({
          path: ["rules", i, "to"],
          message: `names${quoted(id)}, which is no destination of this file`,
        })),
      ...patterns.flatMap((pattern, n) =>
        pattern === "" || isKnown(pattern)
          ? []
          : [
              {
                path: ["rules", i, "events", n],
                message: `names${quoted(pattern)}, which is no event of the CAD or the bridge: list it under other_events if the CAD sends it`,
              },
            ],
      ),
    ]),
  ];
}
