/** How much may be logged, from least to most. Apart from the logger, so that a host with another logger can do without it. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How lines are written to standard output: for machines, or for people. */
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The names of Python's levels, for services that share one LOG_LEVEL. */
const OF_PYTHON: Readonly<Record<string, LogLevel>> = { warning: "warn", critical: "fatal", notset: "trace" };

/** A level as it is meant, in any case; what is none comes back in lower case. */
export function toLogLevel(text: string): string {
  const name = text.trim().toLowerCase();
  return Object.hasOwn(OF_PYTHON, name) ? (OF_PYTHON[name] ?? name) : name;
}
