import { connect as connectTcp } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { type ProbeOptions } from "../../tools/simulator/probe.ts";
import { TOKEN, INCIDENT, AT_ONCE, start, open, connect, status, heardStatuses } from "../support/simulated-cad.ts";
import { until } from "../../tools/support/until.ts";

describe.each(["websocket", "polling"] as const)("a simulated hang, over %s", (transport) => {
  const options: ProbeOptions = { token: TOKEN, transports: [transport] };

  it("answers nothing until it goes on, and then handles what came meanwhile, in order", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    const late = open(cad, options);
    await until("both connected", () => late.socket.connected);
    let fenced = false;
    const fence = probe.socket.io.socket("/no-such-namespace");
    fence.once("connect_error", () => (fenced = true));

    cad.switches.hang = true;
    for (let n = 1; n <= 50; n++) probe.socket.emit("unit:status", status(n));
    fence.connect();
    const newcomer = open(cad, options);
    const tcp = connectTcp(cad.port, "127.0.0.1");
    onTestFinished(() => void tcp.destroy());
    await until("TCP still accepts", () => tcp.readyState === "open");
    cad.broadcast("incident:new", { incidentId: "held back" });
    // Some round trips of another connection: enough for an answer to have come, if there were one.
    for (let n = 0; n < 20; n++) expect((await fetch(`${cad.url}/simulator/health`)).status).toBe(200);
    expect(cad.ledger.summary().received).toBe(0);
    expect({ fenced, newcomer: newcomer.socket.connected, heard: late.heard("incident:new") }).toEqual({
      fenced: false,
      newcomer: false,
      heard: [],
    });

    cad.switches.hang = false;
    await until("everything handled", () => heardStatuses(late).length === 50);
    await until("the fence", () => fenced);
    await until("the newcomer", () => newcomer.socket.connected);
    expect(cad.ledger.summary()).toMatchObject({ received: 50, violations: 0 });
    expect(late.heard("incident:new")).toHaveLength(1);
    expect([...probe.disconnects, ...late.disconnects]).toEqual([]);
    fence.disconnect();
  });

  it.each(["before", "after"])("sends no ping and gives up no client, from %s a ping on", async (when) => {
    const cad = await start({ pingInterval: 100, pingTimeout: 150 });
    const probe = await connect(cad, { ...options, reconnection: false });
    // After a ping: its answer is on the way, and the CAD's own time-out is running.
    if (when === "after") await new Promise<void>((resolve) => probe.socket.io.once("ping", resolve));
    cad.switches.hang = true;
    const from = performance.now();
    await until("noticed", () => probe.disconnects.length > 0);
    expect(probe.disconnects).toEqual(["ping timeout"]);
    await until("longer than every time-out", () => performance.now() - from > 500);
    expect(cad.connections).toBe(1);
    cad.switches.hang = false;
    await until("the connection is gone", () => cad.connections === 0);
  });

  it("goes on with its pings", async () => {
    const cad = await start({ pingInterval: 40, pingTimeout: 400 });
    const probe = await connect(cad, options);
    cad.switches.hang = true;
    cad.switches.hang = false;
    let pings = 0;
    probe.socket.io.on("ping", () => pings++);
    await until("pings", () => pings >= 3);
    expect(probe.disconnects).toEqual([]);
  });

  it("lets a handler that was under way finish only when it goes on", async () => {
    const cad = await start({ switches: { delayMs: { min: 30, max: 30 } } });
    const probe = await connect(cad, options);
    probe.socket.emit("unit:status", status(1));
    await until("received", () => cad.ledger.summary().received === 1);
    cad.switches.hang = true;
    const from = performance.now();
    await until("well past its end", () => performance.now() - from > 60);
    expect(cad.ledger.entries()[0]?.outcome).toBe("pending");
    cad.switches.hang = false;
    await until("the echo", () => heardStatuses(probe).length === 1);
  });

  it("stops in the middle of a flood", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    const text = "x".repeat(10_000);
    for (let n = 1; n <= 1000; n++) probe.socket.emit("unit:status", status(n, { status: text }));
    await until("some have come", () => cad.ledger.summary().received > 0);
    cad.switches.hang = true;
    const { received } = cad.ledger.summary();
    expect(received).toBeLessThan(1000);
    for (let n = 0; n < 20; n++) expect((await fetch(`${cad.url}/simulator/health`)).status).toBe(200);
    expect(cad.ledger.summary().received).toBe(received);
    cad.switches.hang = false;
    await until("all have come", () => cad.ledger.summary().received === 1000);
    expect(cad.ledger.summary().violations).toBe(0);
  });

  it("can be stopped, restarted and cut while it hangs", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    cad.switches.hang = true;
    expect(cad.dropConnections()).toBe(1);
    await cad.restart();
    await until("cut", () => probe.disconnects.length === 1);
    cad.switches.hang = false;
    await until("connected again", () => probe.socket.connected);
    cad.switches.hang = true;
    await cad.stop();
    await until("gone", () => probe.disconnects.length === 2);
  });
});

describe("a simulated hang", () => {
  it("still handles what a client sent that has gone meanwhile", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, { token: TOKEN, reconnection: false });
    cad.switches.hang = true;
    const text = "x".repeat(1000);
    for (let n = 1; n <= 500; n++) probe.socket.emit("unit:status", status(n, { status: text }));
    await until("written", () => probe.socket.io.engine.writeBuffer.length === 0);
    for (let n = 0; n < 3; n++) cad.broadcast("incident:new", { incidentId: INCIDENT });
    probe.kill();
    await until("gone", () => probe.disconnects.length === 1);
    expect(cad.ledger.summary().received).toBe(0);
    cad.switches.hang = false;
    await until("handled", () => cad.ledger.summary().received === 500);
    await until("the connection is gone", () => cad.connections === 0);
  });
});
