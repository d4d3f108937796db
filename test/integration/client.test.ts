import { expect, onTestFinished, test } from "vitest";
import { createSocketBridge, type SocketBridge, type SocketBridgeOptions } from "../../client/client.ts";
import type { CommandName } from "../../client/types.ts";
import { commands } from "../../shared/commands/table.ts";
import { until } from "../../tools/support/until.ts";
import { startBridge, tokens } from "../support/bridge.ts";
import { status, tell } from "../support/destinations.ts";
import { startHost } from "../support/functions-host.ts";

function clientOf(url: string, more: Partial<SocketBridgeOptions> = {}): SocketBridge {
  const client = createSocketBridge({ url, token: tokens.admin, onError: () => undefined, ...more });
  onTestFinished(() => client.close());
  return client;
}

test("sends every command of the table, and returns the receipt of its final state", async () => {
  const bridge = await startBridge();
  const client = clientOf(bridge.url);
  for (const { name, examples } of commands) {
    // The table's examples have the types of the table.
    const result = await client.send(name as CommandName, examples[0].body as never, { wait: 20 });
    expect(result.receipt, name).toMatchObject({ command: name, final: true, command_id: result.command_id });
    expect(result.success, name).toBe(true);
    expect(result.receipt, name).toMatchObject(await client.getCommand(result.command_id));
  }
  const health = await client.getHealthStatus();
  expect(health).toMatchObject({ status: "healthy", bridge: { connected: true } });
});

test("a response that is lost on its way is asked for again, and the CAD gets the command once", async () => {
  const bridge = await startBridge();
  let lost = 0;
  const client = clientOf(bridge.url, {
    async fetch(url, init) {
      const response = await fetch(url, init);
      if (lost > 0) return response;
      lost += 1;
      await response.text();
      throw new TypeError("the connection broke");
    },
  });
  const result = await client.updateUnitStatus({ unit_id: "M12", status: "enroute" }, { wait: 20 });
  expect(lost).toBe(1);
  expect(result).toMatchObject({ success: true, replayed: true, status: "confirmed" });
  expect(bridge.cad.ledger.summary().byEvent["unit:status"]).toBe(1);
});

test("names what is wrong in the bridge's own words", async () => {
  const bridge = await startBridge({ worker: false });
  const client = clientOf(bridge.url);
  await expect(client.updateUnitStatus({ unit_id: "M12", status: "lunch" })).rejects.toMatchObject({
    name: "SocketBridgeError",
    code: "invalid-body",
    status: 422,
    hint: "Fix every field named in errors.",
    problem: { errors: [{ pointer: "/status" }] },
  });
});

test("a stream shows every event once and in order, though the server restarts in the middle of it", async () => {
  const bridge = await startBridge();
  const host = await startHost(bridge.prefix);
  const errors: string[] = [];
  const positions: string[] = [];
  const client = clientOf(host.url, { onError: (e) => errors.push(e.code), onPosition: (id) => positions.push(id) });
  const seen: string[] = [];
  client.on("unit:status:updated", async (payload, entry) => {
    // A handler that takes its time delays the next, and loses none.
    await Promise.resolve();
    expect(entry.about.units).toEqual([payload.unitId]);
    seen.push(payload.status);
  });
  await client.listening();

  const send = (from: number, to: number) =>
    tell(bridge, "M12", ...Array.from({ length: to - from }, (_, n) => from + n));
  send(0, 40);
  await until("the stream is in the middle", () => seen.length > 0);
  const stopping = host.stop();
  send(40, 80);
  await stopping;
  send(80, 100);
  await until("the client notices", () => errors.includes("network"));
  await host.start();
  send(100, 120);
  await until("all are seen", () => seen.length >= 120, 15_000);
  expect(seen).toEqual(Array.from({ length: 120 }, (_, n) => status("M12", n).status));
  expect(client.position()).toBe(positions.at(-1));

  // What a process has kept is where the next one begins.
  await client.close();
  send(120, 121);
  const next = clientOf(host.url, { position: positions.at(-1) ?? "" });
  next.on("unit:status:updated", ({ status: word }) => void seen.push(word));
  await until("the next one goes on", () => seen.length >= 121);
  expect(seen.at(-1)).toBe("s120");
});

test("a handler of a name gets what parses, `*` gets everything, and one that throws stops nobody", async () => {
  const bridge = await startBridge();
  const errors: string[] = [];
  const client = clientOf(bridge.url, { onError: ({ code }) => errors.push(code) });
  const [named, all]: [string[], string[]] = [[], []];
  client.on("unit:status:updated", () => {
    throw new Error("a mistake");
  });
  const leave = client.on("unit:status:updated", ({ unitId }) => void named.push(unitId));
  client.on("*", (_payload, entry) => void all.push(`${entry.kind} ${entry.event}`));
  await client.listening();
  bridge.cad.broadcast("unit:status:updated", { status: "no unit" });
  bridge.cad.broadcast("some:event", {});
  tell(bridge, "M12", 1);
  await until("all are told", () => all.length >= 3);
  expect(named).toEqual(["M12"]);
  expect(all).toEqual(["malformed unit:status:updated", "unknown some:event", "event unit:status:updated"]);
  expect(errors).toEqual(["handler-failed"]);
  leave();
  tell(bridge, "M13", 2);
  await until("one more is told", () => all.length >= 4);
  expect(named).toEqual(["M12"]);
});

test("reports what is gone from the journal, and goes on with the oldest entry that is there", async () => {
  const bridge = await startBridge();
  const first = clientOf(bridge.url);
  const got: string[] = [];
  first.on("unit:status:updated", ({ status: word }) => void got.push(word));
  await first.listening();
  tell(bridge, "M12", 1, 2);
  await until("both are in the journal", () => got.length === 2);

  const errors: string[] = [];
  const late = clientOf(bridge.url, { position: "1-0", onError: ({ code }) => errors.push(code) });
  const seen: string[] = [];
  late.on("*", (payload) => void seen.push((payload as { status: string }).status));
  await until("the rest is told", () => seen.length >= 2);
  expect(seen).toEqual(["s1", "s2"]);
  expect(errors).toEqual(["gone"]);
});
