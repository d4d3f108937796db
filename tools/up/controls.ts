import { createInterface } from "node:readline";
import type { Parts } from "./parts.ts";

/** The actions on a part of the demo. */
const ACTIONS = {
  stop: "stop it with SIGTERM, as a supervisor would",
  kill: "kill it, as in a crash",
  start: "start it again",
  restart: "stop it and start it again",
  freeze: "suspend it, with its connections open",
  thaw: "resume it",
} as const;
type Action = keyof typeof ACTIONS;

export type Asked =
  | { what: Action; part: string }
  | { what: "status" }
  | { what: "help" }
  | { what: "nothing" }
  | { what: "wrong"; why: string };

const isAction = (word: string): word is Action => Object.hasOwn(ACTIONS, word);
/** Other names of a part. */
const ALIASES: Readonly<Record<string, string>> = { cad: "simulator" };

/** Parses an input line. */
export function parseLine(line: string, parts: readonly string[]): Asked {
  const [verb = "", name = "", ...rest] = line.trim().toLowerCase().split(/\s+/);
  if (verb === "") return { what: "nothing" };
  if (verb === "status" || verb === "help") return { what: verb };
  if (!isAction(verb)) return { what: "wrong", why: `"${verb}" is not a command. Type help.` };
  const part = ALIASES[name] ?? name;
  if (rest.length > 0 || !parts.includes(part))
    return { what: "wrong", why: `${verb} what? One of ${parts.join(", ")}.` };
  return { what: verb, part };
}

const help = (parts: readonly string[]): string =>
  [
    "Parts can be frozen, stopped and started again, to rehearse faults. Type a command and the name of a part:",
    ...Object.entries(ACTIONS).map(([action, what]) => `  ${action.padEnd(8)} ${what}`),
    "  status   print the state of each part",
    `Parts: ${parts.join(", ")} (cad is the simulator). Ctrl-C stops everything.`,
  ].join("\n");

/** Executes an input line; returns what to print. */
export async function obey(line: string, parts: Pick<Parts, "names" | "state" | "act">): Promise<string> {
  const names = parts.names();
  const asked = parseLine(line, names);
  switch (asked.what) {
    case "nothing":
      return "";
    case "help":
      return help(names);
    case "status":
      return names.map((name) => `  ${name.padEnd(10)} ${parts.state(name)}`).join("\n");
    case "wrong":
      return asked.why;
    default:
      await parts.act(asked.part, asked.what);
      return `${asked.part}: ${parts.state(asked.part)}`;
  }
}

/** Executes input lines one after another until the signal aborts. */
export async function listenTo(
  input: NodeJS.ReadableStream,
  parts: Pick<Parts, "names" | "state" | "act">,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const lines = createInterface({ input });
  signal.addEventListener("abort", () => lines.close(), { once: true });
  for await (const line of lines) {
    const said = await obey(line, parts).catch((error: unknown) =>
      String(error instanceof Error ? error.message : error),
    );
    if (said !== "" && !signal.aborted) log(said);
  }
}
