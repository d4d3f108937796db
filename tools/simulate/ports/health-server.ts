/** Stands in the place of worker/runtime/health-server.ts in the simulation: nobody asks. */
export async function startHealthServer(): Promise<{ port: number; stop(): Promise<void> }> {
  return { port: 0, stop: async () => undefined };
}
