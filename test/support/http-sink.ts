import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A plain HTTP server that keeps what it was sent, and answers 200 until it is told otherwise. */
export async function startHttp() {
  const requests: { method: string; path: string; headers: IncomingHttpHeaders; body: unknown; status: number }[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const { method = "", url: path = "", headers } = request;
      requests.push({ method, path, headers, body: text === "" ? undefined : JSON.parse(text), status });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    /** Those that were answered 200. */
    taken: () => requests.filter((r) => r.status === 200),
    answer: (code: number) => void (status = code),
    async stop(): Promise<void> {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
