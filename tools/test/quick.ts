/**
 * What `npm test` runs besides lint, types and unit tests: the integration tests that guard acceptance, delivery, order,
 * settlement and access. `npm test -- --all` runs every file, also at the edge.
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
