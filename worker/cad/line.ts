/** One connection to the CAD, from the moment on which it hears the CAD, for whoever follows what the CAD sends. */
export interface Line {
  /** The CAD has kept what was missed since the last connection of this process, and has sent it. */
  recovered: boolean;
  /** Resolves once it is authenticated, in its rooms and answering; never, if it ends first. */
  ready: Promise<void>;
  ended: AbortSignal;
  /** Emits, and answers with the CAD's ack. Throws an Error if none came within `ms`. */
  ask(event: string, payload: unknown, ms: number): Promise<unknown>;
  /** Resolves once everything has come that the CAD had sent when this was called; never, if the line ends first. */
  proof(): Promise<void>;
}
