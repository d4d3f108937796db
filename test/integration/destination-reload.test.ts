import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { startProcess } from "../../tools/setup/process.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { accepts, becomes, freshReceiver, of, problems, shown, tell, writeRoutes } from "../support/destinations.ts";

const RULES = [{ to: "a", events: "unit:*" }];

test(
  "SIGHUP takes over destinations, rules and secrets, and refuses what cannot be used",
  { timeout: 90_000 },
  async () => {
    const bridge = await startBridge({ worker: false });
    const [old, next, other] = [await freshReceiver(), await freshReceiver(), await freshReceiver()];
    const to = (id: string, { url, secret }: typeof old, more = {}) => ({
      id,
      url,
      secret,
      phi: true,
      retry_s: [0.2, 60],
      ...more,
    });
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-reload-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, "secret"), old.secret);
    const secret = { secret: undefined, secret_file: join(dir, "secret") };
    const file = writeRoutes({ destinations: [JSON.parse(JSON.stringify(to("a", old, secret)))], rules: RULES });
    const output = join(dir, "worker.log");
    const worker = await startProcess({
      name: "worker",
      script: "worker/main.ts",
      output,
      env: {
        ...{ REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix, CAD_BACKEND_URL: bridge.cad.url },
        ...{
          CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
          ROUTES_FILE: file,
          ALLOW_PRIVATE_DESTINATIONS: "true",
          WORKER_PORT: "0",
        },
        LOG_FILE: undefined,
      },
      readyWhen: async () => ((await bridge.get("/health")).body["bridge"] as { ready: boolean }).ready,
    });
    onTestFinished(async () => void (await worker.stop()));
    const reload = (text: string) => {
      writeFileSync(file, text);
      worker.kill("SIGHUP");
    };
    const refused = async () => (await problems(bridge)).problems.find(({ code }) => code === "routes-refused");
    const log = () => readFileSync(output, "utf8");
    tell(bridge, "A", 1);
    expect((await accepts(old, 1))[0]).toMatchObject({ verified: true });

    reload("destinations:\n  - { id: a, url: nowhere }\nrules: []\n");
    expect(await until("it is refused", refused)).toMatchObject({ severity: "warning", since: expect.any(String) });
    for (const mistake of ["line 2: destinations[0].url", "line 2: destinations[0]: has none of secret"])
      expect(log()).toContain(mistake);
    tell(bridge, "A", 2);
    await accepts(old, 2);

    // While one of its requests is under way, it moves to another address, with another secret and other rules.
    old.answer("hang");
    tell(bridge, "A", 3);
    await until("it is under way", () => old.received.length === 3);
    const rules = [
      { to: "a", events: "unit:*", filter: 'unit != "B"' },
      { to: "c", events: "unit:*" },
    ];
    reload(stringify({ destinations: [to("a", next), to("c", other)], rules }));
    await until("it is taken over", async () => !(await refused()));
    await until("c is there", async () => shown(bridge, "c"));
    await until("its handler has its place", async () => {
      const { body } = await bridge.get("/status");
      const { handlers } = body["worker_report"] as { handlers: { handler: string }[] };
      return handlers.some(({ handler }) => handler === "to:c");
    });
    tell(bridge, "A", 4);
    tell(bridge, "B", 1);
    expect(of(await accepts(other, 2), "B")).toEqual(["s1"]);
    expect(next.received).toHaveLength(0);
    // It is cut by the receiver: that attempt failed, and the next goes to where it is now, before what follows.
    await old.stop();
    expect(of(await accepts(next, 2), "A")).toEqual(["s3", "s4"]);
    expect(next.accepted().every(({ verified }) => verified)).toBe(true);

    next.answer(500);
    tell(bridge, "A", 5);
    await becomes(bridge, "a", (d) => d.waiting === 1);
    reload(stringify({ destinations: [to("c", other)], rules: [{ to: "c", events: "unit:*" }] }));
    await becomes(bridge, "a", (d) => d.state === "removed" && /1 messages for it wait/.test(d.reason ?? ""));
    tell(bridge, "A", 6);
    await accepts(other, 4);
    next.answer(204);
    reload(stringify({ destinations: [to("a", next), to("c", other)], rules }));
    await becomes(bridge, "a", (d) => d.state === "ok");
    await bridge.post("/destinations/a/enable", {});
    const all = await until("it continues where it was", () => next.accepted().length >= 4 && next.accepted(), 20_000);
    expect(of(all, "A")).toEqual(["s3", "s4", "s5", "s6"]);
    expect(of(all, "B")).toEqual([]);
    expect(of(other.accepted(), "A")).toEqual(["s4", "s5", "s6"]);
  },
);
