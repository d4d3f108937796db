import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export type Frame = string | Buffer;

/** Frames that a CAD sends in the place of, or after, what the protocol has it send. */
export interface Script {
  /** Instead of the Engine.IO handshake. */
  handshake?: Frame[];
  /** Instead of the answer to CONNECT. */
  connect?: Frame[];
  /** Once the client has authenticated. */
  ready?: Frame[];
  /** It hangs up so long after one of these was sent, ms. */
  hangUpMs?: number;
}

export interface HostileCad {
  url: string;
  /** How often a client connected so far. */
  connections(): number;
  stop(): Promise<void>;
}

const HANDSHAKE = { sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 };
const BARRIER = "40/socket-bridge-barrier,";

/** A CAD that speaks Engine.IO frame by frame, so that any of them may be wrong. `script` is asked at each connection. */
export async function startHostileCad(script: (connection: number) => Script): Promise<HostileCad> {
  let count = 0;
  const server = createServer((_request, response) => void response.writeHead(404).end());
  const frames = new WebSocketServer({ server, maxPayload: 1_000_000 });
  frames.on("connection", (socket) => {
    count += 1;
    play(socket, script(count));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => count,
    async stop() {
      for (const client of frames.clients) client.terminate();
      frames.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function play(socket: WebSocket, script: Script): void {
  const send = (all: readonly Frame[]) => {
    for (const frame of all) if (socket.readyState === socket.OPEN) socket.send(frame);
  };
  const { hangUpMs } = script;
  const hostile = (all: readonly Frame[]) => {
    send(all);
    if (hangUpMs !== undefined) setTimeout(() => socket.close(), hangUpMs);
  };
  socket.on("error", () => undefined);
  socket.on("message", (data: Buffer) => {
    const text = data.toString();
    if (text.startsWith(BARRIER)) send(['44/socket-bridge-barrier,{"message":"Invalid namespace"}']);
    else if (text.startsWith("40") && script.connect) hostile(script.connect);
    else if (text.startsWith("40")) send(['40{"sid":"n"}']);
    else if (text.includes("fastapi:authenticate")) {
      send(['42["authenticated",{"success":true}]']);
      if (script.ready) hostile(script.ready);
    }
  });
  if (script.handshake) hostile(script.handshake);
  else send([`0${JSON.stringify(HANDSHAKE)}`]);
}
