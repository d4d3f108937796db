import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { startCad } from "../../tools/simulator/cad.ts";
import { openProbe } from "../../tools/simulator/probe.ts";
import {
  TOKEN,
  AT_ONCE,
  start,
  connect,
  status,
  settle,
  withoutMarkers,
  assignment,
} from "../support/simulated-cad.ts";
import { until } from "../../tools/support/until.ts";

describe("starting, stopping and restarting the simulator", () => {
  it("restarts on the same port without connections and rooms, and keeps its ledger", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    probe.socket.emit("join:unit", "E39");
    await settle(probe);
    const { url } = cad;
    await cad.restart();
    expect(cad.url).toBe(url);
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    expect(probe.disconnects).toEqual(["transport close"]);
    probe.socket.emit("assignment:sent", assignment);
    await settle(probe);
    expect(probe.heard("assignment:received")).toEqual([]);
    expect(cad.ledger.entries().map(({ connection }) => connection)).toEqual([1, 1, 2, 2]);
  });

  it("forgets, when restarted, what it was handling", async () => {
    const cad = await start({ switches: { delayMs: { min: 100, max: 100 } } });
    const probe = await connect(cad);
    probe.socket.emit("unit:status", status(1));
    await until("received", () => cad.ledger.summary().received === 1);
    await cad.restart();
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    await settle(probe); // takes as long as the handler would have
    expect(cad.ledger.entries()[0]?.outcome).toBe("pending");
    expect(withoutMarkers(probe)).toEqual([]);
  });

  it("stops twice as well as once, promptly, with clients connected, and stays stopped", async () => {
    const cad = await start();
    const probe = await connect(cad);
    const from = performance.now();
    await Promise.all([cad.stop(), cad.stop()]);
    await cad.stop();
    expect(performance.now() - from).toBeLessThan(1000);
    await until("disconnected", () => probe.disconnects.length === 1);
    await expect(fetch(`${cad.url}/simulator/health`)).rejects.toThrow();
    await expect(cad.restart()).rejects.toThrow(/start another/);
  });

  it("pretends to be an MDT, and sends what is malformed", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const [inside, outside] = [await connect(cad), await connect(cad)];
    inside.socket.emit("join:unit", "E39");
    await settle(inside);
    for (const payload of [null, "text", {}]) cad.broadcast("unit:location:updated", payload);
    cad.broadcast("assignment:received", assignment, "unit:E39");
    await settle(inside);
    await settle(outside);
    expect(outside.heard("unit:location:updated")).toEqual([null, "text", {}]);
    expect(inside.heard("assignment:received")).toEqual([assignment]);
    expect(outside.heard("assignment:received")).toEqual([]);
  });

  it("says what to do when its port is taken or its token is empty", async () => {
    const { port } = await start();
    await expect(startCad({ token: TOKEN, port })).rejects.toThrow(`port ${port} is taken`);
    await expect(startCad({ token: "" })).rejects.toThrow(/needs a token/);
  });
});

const call = async (cad: { url: string }, method: string, path: string, body?: unknown) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${cad.url}/simulator${path}`, { method, ...(body !== undefined && { body: text }) });
  const answer = await response.text();
  return { status: response.status, body: answer === "" ? undefined : (JSON.parse(answer) as unknown) };
};

describe("the control surface", () => {
  it("tells its health", async () => {
    const cad = await start({ character: "modern" });
    await connect(cad);
    expect(await call(cad, "GET", "/health")).toEqual({
      status: 200,
      body: { status: "ok", character: "modern", connections: 1 },
    });
  });

  it("shows the ledger's judgement and its entries page by page, and clears it", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    for (const n of [1, 3, 2]) probe.socket.emit("unit:status", status(n));
    await settle(probe);
    expect((await call(cad, "GET", "/ledger")).body).toMatchObject({
      received: 4,
      violations: 1,
      examples: { violations: [{ key: "unit:E39" }], lateRepeats: [], appliedViolations: [{ key: "unit:E39" }] },
    });
    const page = (await call(cad, "GET", "/ledger?after=1&limit=2")).body;
    expect(page).toMatchObject({ entries: [{ seq: 2, commandId: "command-3" }, { seq: 3 }], next: 3 });
    expect((await call(cad, "GET", "/ledger?after=4")).body).toEqual({ entries: [], next: 4 });
    expect(await call(cad, "DELETE", "/ledger")).toEqual({ status: 204, body: undefined });
    expect(cad.ledger.summary().received).toBe(0);
  });

  it("reads and changes the switches, while it hangs too", async () => {
    const cad = await start();
    const probe = await connect(cad);
    expect((await call(cad, "GET", "/switches")).body).toEqual(cad.switches);
    expect((await call(cad, "PATCH", "/switches", { hang: true, refuse: { next: 2 } })).status).toBe(200);
    expect(cad.switches).toMatchObject({ hang: true, refuse: { next: 2 }, dropAcks: 0 });
    probe.socket.emit("join:unit", "E39");
    expect((await call(cad, "PATCH", "/switches", { hang: false })).body).toMatchObject({ hang: false });
    await until("it goes on", () => cad.ledger.summary().received === 1);
  });

  it("drops the connections", async () => {
    const cad = await start();
    const probe = await connect(cad);
    expect(await call(cad, "POST", "/drop-connections")).toEqual({ status: 200, body: { dropped: 1 } });
    await until("dropped", () => probe.disconnects.length === 1);
  });

  it.each([
    ["an unknown switch", "PATCH", "/switches", { strict: true, hangs: true }, 422, /hangs/],
    ["a fraction above 1", "PATCH", "/switches", { strict: true, dropAcks: 1.5 }, 422, /dropAcks.*<=1/],
    ["no JSON", "PATCH", "/switches", "{", 422, /expected object/],
    ["too large a body", "PATCH", "/switches", "x".repeat(70_000), 413, /65536/],
    ["a limit of 0", "GET", "/ledger?limit=0", undefined, 422, /limit/],
    ["an unknown parameter", "GET", "/ledger?offset=1", undefined, 422, /offset/],
    ["a path that is not there", "GET", "/nothing", undefined, 404, /simulator\/ledger/],
    ["a method that is not there", "POST", "/ledger", undefined, 405, /GET, DELETE/],
  ])("refuses %s, says why and changes nothing", async (_name, method, path, body, code, why) => {
    const cad = await start();
    const answer = await call(cad, method, path, body);
    expect(answer.status).toBe(code);
    expect(JSON.stringify(answer.body)).toMatch(why);
    expect(cad.switches.strict).toBe(false);
  });
});

describe("the simulator as a process", () => {
  const main = fileURLToPath(new URL("../../tools/simulator/main.ts", import.meta.url));

  function run(env: Record<string, string>, args: string[] = []) {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const output = { out: "", err: "" };
    child.stdout.on("data", (text: Buffer) => (output.out += text.toString()));
    child.stderr.on("data", (text: Buffer) => (output.err += text.toString()));
    const exit = new Promise<number | string | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal));
    });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await exit;
      expect(() => process.kill(child.pid ?? 0, 0)).toThrow("ESRCH");
    });
    const ready = async () => {
      await until("ready", () => output.out.includes("\n"));
      return /(http:\S+)/.exec(output.out)?.[1] ?? "";
    };
    return { child, output, exit, ready };
  }

  it.each(["SIGTERM", "SIGINT"] as const)(
    "says when it listens, serves, and ends well on %s, hanging too",
    async (signal) => {
      const env = {
        SIMULATOR_TOKEN: TOKEN,
        SIMULATOR_PORT: "0",
        SIMULATOR_CHARACTER: "modern",
        SIMULATOR_SWITCHES: '{"strict":true}',
      };
      const { child, output, exit, ready } = run(env);
      const url = await ready();
      expect(output.out).toMatch(/^simulator listening on http:\/\/127\.0\.0\.1:\d+ \(modern\)\n$/);
      const probe = openProbe(url, { token: TOKEN });
      onTestFinished(() => probe.close());
      await until("connected", () => probe.socket.connected);
      const ack = await probe.socket.emitWithAck("unit:status", { unitId: "E39", status: "x" });
      expect(ack).toMatchObject({ success: false });
      await fetch(`${url}/simulator/switches`, { method: "PATCH", body: '{"hang":true}' });
      child.kill(signal);
      expect(await exit).toBe(0);
      await until("disconnected", () => probe.disconnects.length === 1);
    },
  );

  it("crashes with exit code 1 as the real one does", async () => {
    const { output, exit, ready } = run({ SIMULATOR_TOKEN: TOKEN, SIMULATOR_PORT: "0" });
    const probe = openProbe(await ready(), { token: TOKEN });
    onTestFinished(() => probe.close());
    await until("connected", () => probe.socket.connected);
    probe.socket.emit("assignment:sent", null);
    expect(await exit).toBe(1);
    expect(output.err).toContain("assignment:sent with a null payload");
  });

  it("lists every wrong variable at once, without its value, and exits with 78", async () => {
    const env = {
      SIMULATOR_TOKEN: "",
      SIMULATOR_PORT: "70000-secret",
      SIMULATOR_HOST: "",
      SIMULATOR_CHARACTER: "secret",
      SIMULATOR_SWITCHES: '{"hang":"secret"}',
    };
    const { output, exit } = run(env);
    expect(await exit).toBe(78);
    for (const name of Object.keys(env)) expect(output.err).toContain(name);
    expect(output.err).not.toContain("secret");
    expect(output.out).toBe("");
  });

  it("requires a token, and JSON for the switches", async () => {
    const { output, exit } = run({ SIMULATOR_SWITCHES: "hang" });
    expect(await exit).toBe(78);
    expect(output.err).toMatch(/SIMULATOR_TOKEN: is required\n.*SIMULATOR_SWITCHES: must be JSON/);
  });

  it("says which port is taken", async () => {
    const { port } = await start();
    const { output, exit } = run({ SIMULATOR_TOKEN: TOKEN, SIMULATOR_PORT: String(port) });
    expect(await exit).toBe(1);
    expect(output.err).toMatch(new RegExp(`port ${port} is taken.*SIMULATOR_PORT`));
  });

  it("explains itself and its variables with --help, and takes no other argument", async () => {
    const help = run({}, ["--help"]);
    expect(await help.exit).toBe(0);
    for (const name of ["TOKEN", "PORT", "HOST", "CHARACTER", "SWITCHES"])
      expect(help.output.out).toContain(`SIMULATOR_${name}`);
    expect(help.output.out).toContain("Default: 3000.");
    expect(await run({}, ["--port=1"]).exit).toBe(64);
  });
});
