/** What the several CADs of a bridge have in common in Redis. Each CAD's own keys are below its own prefix: see shared/redis/keys.ts. */
export interface CadsKeys {
  /** Sorted set of the workers that are there, by when they last said so, ms by Redis's clock. */
  workers: string;
  /** Hash: incident to the CAD in which it was first seen, with a MAC. */
  incidents: string;
  /** Sorted set of the same incidents, by when each was last used, ms by Redis's clock. */
  incidentsUsed: string;
  /** Hash: unit to its last move from one CAD to another; see shared/moves/. */
  moves: string;
  /** Set: the units with a move that waits. */
  movesOpen: string;
  /** Where a worker says that it gave a CAD up. */
  releasedChannel: string;
}

/** @param prefix REDIS_PREFIX */
export const cadsKeys = (prefix: string): CadsKeys => ({
  workers: `{${prefix}}:cads:workers`,
  incidents: `{${prefix}}:cads:incidents`,
  incidentsUsed: `{${prefix}}:cads:incidents:used`,
  moves: `{${prefix}}:cads:moves`,
  movesOpen: `{${prefix}}:cads:moves:open`,
  releasedChannel: `{${prefix}}:cads:released`,
});
