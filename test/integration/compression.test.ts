import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Server } from "socket.io";
import { expect, onTestFinished, test } from "vitest";
import { createTransport } from "../../worker/cad/transport.ts";
import { startBridge, tokens } from "../support/bridge.ts";

const LARGE = { text: "the same words again and again ".repeat(1000) };
const BYTES = JSON.stringify(LARGE).length;

/** How many bytes a CAD gets of one large event and sends back, on a connection with these settings. */
async function bytesOf(offers: boolean, compressFrom: number | undefined): Promise<{ sent: number; received: number }> {
  const server = createServer();
  const io = new Server(server, { perMessageDeflate: offers && { threshold: 1024 } });
  const counted = Promise.withResolvers<() => { sent: number; received: number }>();
  server.on("upgrade", (_request, duplex) => {
    const socket = duplex as Socket;
    const { bytesRead, bytesWritten } = socket;
    counted.resolve(() => ({ sent: socket.bytesRead - bytesRead, received: socket.bytesWritten - bytesWritten }));
  });
  io.on("connection", (socket) => void socket.on("large", (payload: unknown) => socket.emit("echo", payload)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void io.close());
  const echoed = Promise.withResolvers<unknown>();
  const connected = Promise.withResolvers<void>();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createTransport(
    { url, transports: ["websocket"], ...(compressFrom !== undefined && { compressFrom }) },
    {
      connected: () => connected.resolve(),
      refused: (reason) => connected.reject(new Error(reason)),
      disconnected: () => undefined,
      event: async (_name, payload) => {
        echoed.resolve(payload);
        return true;
      },
    },
  );
  onTestFinished(() => transport.leave());
  transport.connect("t");
  await connected.promise;
  transport.emit("large", LARGE);
  expect(await echoed.promise).toEqual(LARGE);
  return (await counted.promise)();
}

test.each([
  ["of the default size", true, undefined, true],
  ["of the size that CAD_COMPRESS_FROM gives", true, 2000, true],
  ["below CAD_COMPRESS_FROM", true, 1_000_000, false],
  ["with CAD_COMPRESS_FROM=0", true, 0, false],
  ["to a CAD that does not offer it", false, undefined, false],
])("an event %s is compressed or not", async (_what, offers, compressFrom, compressed) => {
  const { sent, received } = await bytesOf(offers, compressFrom);
  if (compressed) expect(sent).toBeLessThan(BYTES / 5);
  else expect(sent).toBeGreaterThan(BYTES);
  // The CAD compresses what it sends wherever that was agreed on.
  if (offers && compressFrom !== 0) expect(received).toBeLessThan(BYTES / 5);
  else expect(received).toBeGreaterThan(BYTES);
});

const accepting = (encoding: string) => ({
  headers: { "Accept-Encoding": encoding },
  signal: AbortSignal.timeout(5000),
});

test("answers are compressed on request, and event streams are not", async () => {
  const bridge = await startBridge({ worker: false });
  const document = `${bridge.url}/openapi.json`;
  const plain = await fetch(document, accepting("identity"));
  const zipped = await fetch(document, accepting("gzip"));
  expect(plain.headers.get("Content-Encoding")).toBeNull();
  expect(zipped.headers.get("Content-Encoding")).toBe("gzip");
  expect(zipped.headers.get("Vary")).toMatch(/Accept-Encoding/);
  expect(await zipped.json()).toEqual(await plain.json());
  const { headers, signal } = accepting("gzip");
  const stream = await fetch(`${bridge.url}/events`, {
    headers: { ...headers, Accept: "text/event-stream", Authorization: `Bearer ${tokens.dispatcher}` },
    signal,
  });
  expect(stream.status).toBe(200);
  expect(stream.headers.get("Content-Encoding")).toBeNull();
  await stream.body?.cancel();
});
