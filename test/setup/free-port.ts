import { createServer } from "node:net";

/** A port that was free a moment ago. Whoever takes it must be ready to lose it to somebody else, and ask again. */
export const freePort = (): Promise<number> => listenOnce(0);

export async function isFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return (await listenOnce(port, host).catch(() => undefined)) !== undefined;
}

function listenOnce(port: number, host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : port));
    });
  });
}

const TRIES = 5;

/**
 * Starts something on the port that is preferred, or else on a free one; on another one if somebody takes that port
 * in between, which `start` tells by an Error that says so.
 */
export async function onSomePort<T>(preferred: number | undefined, start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const wanted = attempt === 1 && preferred !== undefined && (await isFree(preferred)) ? preferred : await freePort();
    try {
      return await start(wanted);
    } catch (error) {
      const taken = error instanceof Error && /address already in use|port( \d+)? is taken/i.test(error.message);
      if (!taken || attempt === TRIES) throw error;
    }
  }
}
