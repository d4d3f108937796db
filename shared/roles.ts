/** Who may do what. A role may do everything that the roles after it may. */
export const ROLES = ["admin", "dispatcher", "crew"] as const;
export type Role = (typeof ROLES)[number];

/** True if one of the caller's roles is the role that an endpoint takes, or stands above it. */
export function may(caller: readonly Role[], takes: Role): boolean {
  return caller.some((role) => ROLES.indexOf(role) <= ROLES.indexOf(takes));
}

/** The highest of the caller's roles: the one that the audit trail names. */
export function highest(caller: readonly Role[]): Role | undefined {
  return ROLES.find((role) => caller.includes(role));
}
