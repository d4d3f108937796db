/** The source of the events of a bridge. Not the CAD's address: that is nobody's business outside. */
export const sourceOf = (prefix: string): string => `urn:socket-bridge:${prefix}`;
