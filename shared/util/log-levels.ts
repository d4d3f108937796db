/** Log levels, most severe first. Separate from the logger, so that a host with another logger need not load it. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Format of the lines on standard output: for machines or for people. */
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Python's level names, for services that share one LOG_LEVEL. */
const OF_PYTHON: Readonly<Record<string, LogLevel>> = { warning: "warn", critical: "fatal", notset: "trace" };

/** Normalises a level's name; an unknown one is returned in lower case. */
export function toLogLevel(text: string): string {
  const name = text.trim().toLowerCase();
  return Object.hasOwn(OF_PYTHON, name) ? (OF_PYTHON[name] ?? name) : name;
}
