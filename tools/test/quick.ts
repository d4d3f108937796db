/**
 * What `npm test` runs besides lint, types and unit tests: the integration tests that guard the promise (accepted, delivered, in
 * order, once settled, seen by those who may). `npm test -- --all` runs every file, at the edge as well.
 */
export const QUICK_INTEGRATION = [
  "commands",
  "delivery",
  "dead-letters",
  "destinations",
  "http",
  "journal",
  "processes",
  "redis-faults",
  "wedge",
] as const;
