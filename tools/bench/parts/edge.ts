import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { BASE_PATH } from "../../support/api.ts";
import { signTokens } from "../../support/tokens.ts";
import { freePort } from "../../setup/free-port.ts";
import { type RunningProcess, startProcess, startProgram } from "../../setup/process.ts";
import { WRANGLER, wranglerDev } from "../../setup/wrangler.ts";
import { nowMs } from "../measure/clock.ts";
import { statusBody } from "../load/fleet.ts";
import { HttpConnection } from "../load/http-connection.ts";
import { POST_STATUS, type Rig, script } from "../rig/rig.ts";
import { median, percentile } from "../measure/stats.ts";
import type { Part } from "../measure/table.ts";

const HOSTS = ["node", "edge"] as const;
type HostName = (typeof HOSTS)[number];
interface Host {
  process: RunningProcess;
  port: number;
}
/** An accepted command, and a request refused before Redis is used, which shows the cost of the host itself. */
const KINDS = ["accept", "refuse"] as const;
type Kind = (typeof KINDS)[number];
const STATUS: Record<Kind, number> = { accept: 202, refuse: 401 };
interface Round {
  perSecond: number;
  p50: number;
  p99: number;
}
const WARM_UP_S = 2;
/** One client sends more requests here than the limits allow. */
const UNLIMITED = {
  RATE_LIMIT_TOKEN: "0",
  RATE_LIMIT_TOKEN_BYTES: "0",
  RATE_LIMIT_ADDRESS: "0",
  RATE_LIMIT_UNAUTHENTICATED: "0",
};

/** The same app on Node and in workerd, alternating. Under `wrangler dev` each request passes a second workerd as well. */
export async function measureEdge(
  rig: Rig,
  plan: { clients: readonly number[]; rounds: number; seconds: number },
  say: (line: string) => void,
): Promise<Part> {
  const secret = randomBytes(32).toString("base64url");
  const { crew } = await signTokens(secret);
  const hosts: Record<HostName, Host> = {
    node: await startHost(rig, "node", secret),
    edge: await startHost(rig, "edge", secret),
  };
  const variants = HOSTS.flatMap((host) => KINDS.map((kind) => ({ host, kind, rounds: new Map<number, Round[]>() })));
  for (const { host, kind } of variants) await load(hosts[host].port, kind, crew, 16, WARM_UP_S);
  for (let round = 1; round <= plan.rounds; round += 1) {
    say(`round ${round} of ${plan.rounds}`);
    for (const clients of plan.clients) {
      for (const { host, kind, rounds } of variants) {
        await rig.empty();
        const measured = await load(hosts[host].port, kind, crew, clients, plan.seconds);
        rounds.set(clients, [...(rounds.get(clients) ?? []), measured]);
      }
    }
  }
  await Promise.all(HOSTS.map((host) => hosts[host].process.stop()));
  await rig.empty();

  const bundle = await bundleSize(rig.dir);
  const tables = plan.clients.map((clients) => ({
    title: `On Node and at the edge (wrangler dev), ${clients} ${clients === 1 ? "client" : "clients"}`,
    lines: variants.flatMap(({ host, kind, rounds }) => lines(`${host}: ${kind}`, rounds.get(clients) ?? [])),
  }));
  const size = {
    title: "Edge bundle",
    lines: [
      { what: "uncompressed", measured: bundle.bytes / 1024, unit: "KiB" },
      // The lowest limit of a Cloudflare Workers plan.
      { what: "compressed", measured: bundle.gzip / 1024, unit: "KiB", goal: { atMost: 3 * 1024 } },
    ],
  };
  const rounds = variants.map((v) => ({ ...v, rounds: Object.fromEntries(v.rounds) }));
  return { tables: [...tables, size], numbers: { bundle, rounds } };
}

const lines = (what: string, rounds: readonly Round[]) => [
  { what, measured: median(rounds.map((r) => r.perSecond)), unit: "/s" },
  { what: "", measured: median(rounds.map((r) => r.p50)), unit: "ms", note: "p50" },
  { what: "", measured: median(rounds.map((r) => r.p99)), unit: "ms", note: "p99" },
];

async function startHost(rig: Rig, name: HostName, secret: string): Promise<Host> {
  const port = await freePort();
  const options = {
    name: `functions-${name}`,
    output: join(rig.dir, `functions-${name}.log`),
    env: { REDIS_URL: rig.redis.url, JWT_SECRET: secret, PORT: String(port), LOG_LEVEL: "warn", ...UNLIMITED },
    readyWhen: async ({ signal }: { signal: AbortSignal }) =>
      (await fetch(`http://127.0.0.1:${port}${BASE_PATH}/health`, { signal })).headers.has("content-type"),
  };
  const dev = wranglerDev("127.0.0.1", port, "environment");
  // wrangler's log line per request would cost as much as the request.
  const vars = Object.entries(UNLIMITED).flatMap(([variable, value]) => ["--var", `${variable}:${value}`]);
  const wrangler = { ...dev, args: [...dev.args, "--log-level", "warn", ...vars] };
  const process =
    name === "edge"
      ? await startProgram({ ...options, ...wrangler, env: { ...options.env, ...wrangler.env } })
      : await startProcess({ ...options, script: script("functions/hosts/node.ts") });
  return { process, port };
}

/** Each client sends its next request when the previous one is answered. */
async function load(port: number, kind: Kind, token: string, clients: number, seconds: number): Promise<Round> {
  const connections = await Promise.all(Array.from({ length: clients }, () => HttpConnection.open(port)));
  const tookMs: number[] = [];
  const bearer = kind === "accept" ? token : "none";
  const began = nowMs();
  const client = async (connection: HttpConnection, c: number) => {
    while (nowMs() < began + seconds * 1000) {
      const body = JSON.stringify(statusBody(tookMs.length * clients + c, 1));
      const head = `POST ${POST_STATUS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer ${bearer}`;
      const sent = nowMs();
      const { status } = await connection.send(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      if (status !== STATUS[kind]) throw new Error(`a request was answered ${status}`);
      tookMs.push(nowMs() - sent);
    }
  };
  try {
    await Promise.all(connections.map(client));
  } finally {
    for (const connection of connections) connection.close();
  }
  const took = (nowMs() - began) / 1000;
  return { perSecond: tookMs.length / took, p50: percentile(tookMs, 0.5), p99: percentile(tookMs, 0.99) };
}

/** Size of the script that `npm run deploy` would upload, without the static files. */
async function bundleSize(dir: string): Promise<{ bytes: number; gzip: number }> {
  const out = join(dir, "bundle");
  const args = ["--no-warnings", script(join("node_modules", WRANGLER)), "deploy", "--dry-run", "--outdir", out];
  await promisify(execFile)(process.execPath, args, { cwd: script("."), timeout: 60_000 });
  const bundle = readFileSync(join(out, "cloudflare.js"));
  return { bytes: bundle.length, gzip: gzipSync(bundle).length };
}
