/** The Redis key names of the audit trail; FORMAT.md describes them. */
export interface AuditKeys {
  /** Base name of the outbox whose commands it records. */
  base: string;
  entries: string;
  links: string;
  head: string;
  anchor: string;
}

/** @param base of the outbox of commands to the CAD */
export const auditKeys = (base: string): AuditKeys => ({
  base,
  entries: `${base}:audit`,
  links: `${base}:audit:links`,
  head: `${base}:audit:head`,
  anchor: `${base}:audit:anchor`,
});
