import { createServer } from "node:net";
import { SetupError } from "./setup-error.ts";

/**
 * Below the ephemeral ports (Linux from 32768 on, macOS from 49152): one of those can be taken by any outgoing connection
 * between the check and its use.
 */
const LOWEST = 15_000;
const HIGHEST = 31_999;
const LOOK_AT = 200;
const given = new Set<number>();

/**
 * A port that was free a moment ago and that this process has not been given before. Another program may still take it:
 * callers must be ready to retry.
 */
export async function freePort(): Promise<number> {
  for (let looked = 0; looked < LOOK_AT; looked += 1) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 1));
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
  throw new SetupError(`Of ${LOOK_AT} ports from ${LOWEST} to ${HIGHEST}, none is free.`, "Stop what uses them.");
}

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
 * Starts something on the preferred port, or else on a free one; retries with another port if `start` fails because the
 * port was taken meanwhile.
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
