import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream";
import { onTestFinished } from "vitest";

export interface CuttingProxy {
  port: number;
  /** Cuts the next answers of a session after so many bytes of their bodies; the ones after them pass whole. */
  cut(session: string, afterBytes: readonly number[]): void;
  /** After how many bytes an answer was cut so far. */
  cuts(): ReadonlySet<number>;
}

/**
 * Forwards `/SESSION/...` to a bridge with an Authorization header, for any web page, and cuts answers: by turns as an orderly
 * end, and as a connection that is lost.
 */
export async function startCuttingProxy(bridge: { url: string }, token: string): Promise<CuttingProxy> {
  const plans = new Map<string, number[]>();
  const done = new Set<number>();

  function cutAfter(limit: number, from: IncomingMessage, to: ServerResponse): void {
    let left = limit;
    const end = () => {
      from.destroy();
      done.add(limit);
      // What was written goes out first: a connection that is destroyed in the same turn may lose it.
      if (limit % 2 === 0) to.end();
      else to.write("", () => to.socket?.end());
    };
    if (limit === 0) {
      to.flushHeaders();
      return end();
    }
    from.on("data", (bytes: Buffer) => {
      if (left === 0) return;
      const part = bytes.subarray(0, left);
      left -= part.length;
      to.write(part);
      if (left === 0) end();
    });
    from.on("error", () => undefined);
  }

  const server = createServer((asked, answer) => {
    const [, session = "", ...path] = (asked.url ?? "").split("/");
    const { "last-event-id": lastEventId } = asked.headers;
    const up = request(`${bridge.url}/${path.join("/")}`, {
      headers: { Authorization: `Bearer ${token}`, ...(lastEventId !== undefined && { "Last-Event-ID": lastEventId }) },
    });
    up.on("error", () => answer.destroy());
    answer.on("close", () => up.destroy());
    up.on("response", (from) => {
      answer.writeHead(from.statusCode ?? 502, {
        "Content-Type": from.headers["content-type"] ?? "text/plain",
        "Access-Control-Allow-Origin": "*",
        Connection: "close",
      });
      const limit = plans.get(session)?.shift();
      if (limit === undefined) pipeline(from, answer, () => undefined);
      else cutAfter(limit, from, answer);
    });
    up.end();
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    cut: (session, afterBytes) => void plans.set(session, [...afterBytes]),
    cuts: () => done,
  };
}
