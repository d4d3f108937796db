/** The names of the audit trail's keys in Redis; FORMAT.md describes them. */
export interface AuditKeys {
  /** The base name of the outbox whose commands it notes. */
  base: string;
  entries: string;
  links: string;
  head: string;
  anchor: string;
}

/** @param base of the outbox of the commands to the CAD */
export const auditKeys = (base: string): AuditKeys => ({
  base,
  entries: `${base}:audit`,
  links: `${base}:audit:links`,
  head: `${base}:audit:head`,
  anchor: `${base}:audit:anchor`,
});
