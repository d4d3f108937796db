/** How much may be logged, from least to most. Apart from the logger, so that a host with another logger can do without it. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
