import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startProxy } from "../../tools/chaos/rig/proxy.ts";
import { until } from "../../tools/support/until.ts";

/** A server that keeps what it hears and says what it is told to, behind a proxy. */
async function behindProxy() {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => heard.push(String(chunk)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const ports: number[] = [];
  const proxy = await startProxy((server.address() as AddressInfo).port, (port) => ports.push(port));
  onTestFinished(async () => {
    await proxy.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  async function client() {
    const socket = connect(proxy.port, "127.0.0.1");
    const got: string[] = [];
    let closed = false;
    socket.on("data", (chunk) => got.push(String(chunk)));
    socket.on("error", () => undefined);
    socket.once("close", () => (closed = true));
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    return { socket, got, isClosed: () => closed };
  }
  return { proxy, heard, sockets, ports, client };
}

test("forwards in both directions and reports the port that the server sees", async () => {
  const { heard, sockets, ports, client } = await behindProxy();
  const one = await client();
  one.socket.write("to the server");
  await until("it is heard", () => heard.includes("to the server"));
  sockets[0]?.write("to the client");
  await until("it is got", () => one.got.includes("to the client"));
  expect(ports).toEqual([sockets[0]?.remotePort]);
});

test("swallows one direction without a word, and the other passes", async () => {
  const { proxy, heard, sockets, client } = await behindProxy();
  const one = await client();
  await until("it is through", () => sockets.length === 1);
  proxy.swallow(["to-server"]);
  one.socket.write("lost");
  sockets[0]?.write("to the client");
  await until("it is got", () => one.got.includes("to the client"));
  expect(heard).toEqual([]);
  expect(one.isClosed()).toBe(false);
});

test("a swallowed connection stays silent after the healing, its end too; a new one passes", async () => {
  const { proxy, heard, sockets, client } = await behindProxy();
  const old = await client();
  await until("it is through", () => sockets.length === 1);
  proxy.swallow();
  const meanwhile = await client();
  proxy.heal();
  sockets[0]?.destroy();
  old.socket.write("old");
  meanwhile.socket.write("meanwhile");
  const fresh = await client();
  fresh.socket.write("fresh");
  await until("the new one is heard", () => heard.includes("fresh"));
  expect(heard).toEqual(["fresh"]);
  expect([old.isClosed(), meanwhile.isClosed()]).toEqual([false, false]);
});

test("silences every other connection there is, and no new one", async () => {
  const { proxy, heard, sockets, client } = await behindProxy();
  const both = [await client(), await client()];
  await until("they are through", () => sockets.length === 2);
  proxy.swallowHalf("odd");
  both[0]?.socket.write("first");
  both[1]?.socket.write("second");
  const fresh = await client();
  fresh.socket.write("fresh");
  await until("the others are heard", () => heard.includes("first") && heard.includes("fresh"));
  expect(heard).not.toContain("second");
});

test("a cut resets every connection, and new ones pass", async () => {
  const { proxy, heard, client } = await behindProxy();
  const one = await client();
  proxy.cut();
  await until("it is closed", one.isClosed);
  const fresh = await client();
  fresh.socket.write("fresh");
  await until("the new one is heard", () => heard.includes("fresh"));
});

test("the end of a client reaches the server", async () => {
  const { sockets, client } = await behindProxy();
  const one = await client();
  await until("it is through", () => sockets.length === 1);
  one.socket.end();
  await until("the server's end", () => sockets[0]?.destroyed);
});
