/** Roles in descending order: each includes the rights of the roles after it. */
export const ROLES = ["admin", "dispatcher", "crew"] as const;
export type Role = (typeof ROLES)[number];

/** The lowest role, which every caller with a role has. */
const ANY = "crew" satisfies Role;

/**
 * The role that each endpoint requires, except commands, which declare their own: routes and API docs take it from here,
 * and a test asks every route of the app with every role.
 */
export const ENDPOINTS = {
  "GET /commands": "dispatcher",
  "GET /commands/{id}": ANY,
  "GET /queues": "dispatcher",
  "GET /queues/{id}": "dispatcher",
  "GET /dead-letters": "admin",
  "GET /dead-letters/{id}": "admin",
  "POST /dead-letters/{id}/redrive": "admin",
  "POST /dead-letters/redrive": "admin",
  "DELETE /dead-letters/{id}": "admin",
  "POST /dead-letters/{id}/reveal": "admin",
  "GET /destinations": "admin",
  "GET /destinations/{id}": "admin",
  "POST /destinations/{id}/enable": "admin",
  "POST /destinations/{id}/pause": "admin",
  "POST /destinations/{id}/test": "admin",
  "POST /destinations/{id}/replay": "admin",
  "GET /audit": "admin",
  "GET /events": "dispatcher",
  "GET /events/history": "dispatcher",
  "GET /events/{id}": "dispatcher",
  "GET /units": "dispatcher",
  "GET /units/{id}": ANY,
  "GET /incidents": "dispatcher",
  "GET /incidents/{id}": ANY,
  "GET /incidents/{id}/timeline": ANY,
  "GET /health": "public",
  "GET /history": "dispatcher",
  "GET /status": "admin",
  "GET /metrics": "admin",
  "POST /reconnect": "admin",
  "GET /openapi.json": "public",
  "GET /asyncapi.json": "public",
  "GET /schemas/{event}/{version}": "public",
  "GET /docs": "public",
  "GET /admin": "public",
} as const satisfies Record<`${"GET" | "POST" | "DELETE"} /${string}`, Role | "public">;

/** Endpoints that exist only with several CADs (CADS_FILE): below the API's own path, not below that of one CAD. */
export const CADS_ENDPOINTS = {
  "GET /cads": ANY,
  "POST /units/{id}/move": "admin",
  "GET /units/{id}/move": "admin",
  "DELETE /units/{id}/move": "admin",
} as const satisfies Record<string, Role>;
export type Endpoint = keyof typeof ENDPOINTS | keyof typeof CADS_ENDPOINTS;

/** The endpoints that require a token. */
export type GatedEndpoint = {
  [E in keyof typeof ENDPOINTS]: (typeof ENDPOINTS)[E] extends Role ? E : never;
}[keyof typeof ENDPOINTS];

/** True if one of the caller's roles is the role that an endpoint requires, or a higher one. */
export function may(caller: readonly Role[], takes: Role): boolean {
  return caller.some((role) => ROLES.indexOf(role) <= ROLES.indexOf(takes));
}

/** The highest of the caller's roles, which the audit trail records. */
export function highest(caller: readonly Role[]): Role | undefined {
  return ROLES.find((role) => caller.includes(role));
}
