/** A connection to the CAD from which events arrive, for the recovery of missed events. */
export interface OpenConnection {
  /** The CAD kept what was missed since the last connection of this process, and sent it. */
  recovered: boolean;
  /** Resolves once it is authenticated, in its rooms and answering; never, if it ends first. */
  ready: Promise<void>;
  ended: AbortSignal;
  /** Emits, and answers with the CAD's ack. Throws an Error if none came within `ms`. */
  ask(event: string, payload: unknown, ms: number): Promise<unknown>;
  /** Resolves once everything has arrived that the CAD had sent when this was called; never, if the connection ends first. */
  proof(): Promise<void>;
}
