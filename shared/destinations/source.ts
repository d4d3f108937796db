/** The CloudEvents source of a bridge. Not the CAD's address, which must not be exposed. */
export const sourceOf = (prefix: string): string => `urn:socket-bridge:${prefix}`;
