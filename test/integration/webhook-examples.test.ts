import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { newSecret } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";
import { startBridge } from "../support/bridge.ts";
import { ALL, becomes, tell, writeRoutes } from "../support/destinations.ts";

const EXAMPLES = resolve(import.meta.dirname, "../../client/examples");

function startExample(command: string, file: string, secret: string): { lines: string[]; url(): Promise<string> } {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-example-"));
  const env = {
    ...process.env,
    WEBHOOK_SECRET: `${newSecret()} ${secret}`,
    PORT: "0",
    INBOX: join(dir, "inbox.sqlite"),
  };
  const child = spawn(command, [join(EXAMPLES, file)], { env });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await until("it has ended", () => child.exitCode !== null || child.signalCode !== null);
    rmSync(dir, { recursive: true, force: true });
  });
  const lines: string[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  const port = () => lines.flatMap((line) => /^listening on (\d+)$/.exec(line)?.[1] ?? [])[0];
  return { lines, url: async () => `http://127.0.0.1:${await until("it listens", port, 20_000)}/` };
}

const sign = (secret: string, id: string, at: number, body: string) =>
  `v1,${createHmac("sha256", Buffer.from(secret.slice(6), "base64"))
    .update(`${id}.${at}.${body}`)
    .digest("base64")}`;

test.each([
  ["Node", process.execPath, "webhook-receiver.ts"],
  ["Python", "python3", "webhook_receiver.py"],
])(
  "the example for %s takes a webhook of the bridge once, and nothing else",
  { timeout: 60_000 },
  async (_language, command, file) => {
    const secret = newSecret();
    const example = startExample(command, file, secret);
    const url = await example.url();
    const routes = { destinations: [{ id: "a", url, secret, phi: true }], rules: ALL };
    const env = { ROUTES_FILE: writeRoutes(routes), ALLOW_PRIVATE_DESTINATIONS: "true" };
    const bridge = await startBridge({ worker: env });
    tell(bridge, "M12", 1);
    await until("it is done", () => example.lines.includes("event unit:status:updated unit:M12"));
    await becomes(bridge, "a", (d) => d.last_error === null);

    const body = JSON.stringify({ type: "t", subject: "unit:M13" });
    const post = async (id: string, at: number, signature: string) => {
      const headers = { "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": signature };
      return (await fetch(url, { method: "POST", body, headers })).status;
    };
    const now = Math.floor(Date.now() / 1000);
    expect(await post("evt_1", now, sign(newSecret(), "evt_1", now, body))).toBe(401);
    expect(await post("evt_1", now - 400, sign(secret, "evt_1", now - 400, body))).toBe(401);
    expect(await post("evt_1", now, `v2,x ${sign(secret, "evt_2", now, body)}`)).toBe(401);
    for (let n = 0; n < 3; n += 1)
      expect(await post("evt_1", now, `v1,AAAA ${sign(secret, "evt_1", now, body)}`)).toBe(204);
    expect(await post("evt_2", now, sign(secret, "evt_2", now, body))).toBe(204);
    const done = () => example.lines.filter((line) => line === "event t unit:M13").length;
    await until("both are done", () => done() >= 2);
    expect(done()).toBe(2);
  },
);
