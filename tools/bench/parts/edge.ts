import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { BASE_PATH } from "../../support/api.ts";
import { signTokens } from "../../support/tokens.ts";
import { freePort } from "../../setup/free-port.ts";
import { type RunningProcess, startProcess } from "../../setup/process.ts";
import { WRANGLER } from "../../setup/wrangler.ts";
import { BenchError } from "../measure/bench-error.ts";
import { nowMs } from "../measure/clock.ts";
import { statusBody } from "../load/fleet.ts";
import { HttpConnection } from "../load/http-connection.ts";
import { POST_STATUS, type Rig, script } from "../rig/rig.ts";
import { BARE, readBundle, startWorkerd } from "../rig/workerd.ts";
import type { Goal } from "../measure/goal.ts";
import { median, medianOf, percentile } from "../measure/stats.ts";
import type { Part } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";

/** Our functions on Node and in workerd, and the least that a worker does there. */
const HOSTS = ["node", "bare worker", "edge"] as const;
type HostName = (typeof HOSTS)[number];
interface Host {
  process: RunningProcess;
  port: number;
}
/** A command that is accepted; and a request that is refused before Redis is asked, for what the host itself costs. */
const KINDS = ["accept", "refuse"] as const;
type Kind = (typeof KINDS)[number];
const STATUS: Record<Kind, number> = { accept: 202, refuse: 401 };
/** Of a bare worker's rate in the same workerd. */
const GOAL: Record<Kind, Goal> = { accept: { atLeast: 0.25 }, refuse: { atLeast: 0.4 } };
interface Round {
  perSecond: number;
  p50: number;
  p99: number;
  /** CPU of the host's process for one request, us. */
  cpu: number | undefined;
}
const WARM_UP_S = 3;
const WITH_BUNDLE_MS = 60_000;
/** One client asks more here than any may. */
const UNLIMITED = {
  RATE_LIMIT_TOKEN: "0",
  RATE_LIMIT_TOKEN_BYTES: "0",
  RATE_LIMIT_ADDRESS: "0",
  RATE_LIMIT_UNAUTHENTICATED: "0",
  MAX_WAITING_PER_SUBJECT: "0",
  MAX_WAITING_BYTES_PER_SUBJECT: "0",
  MAX_WAITING_PER_KEY: "0",
};

/** The same app on Node and in workerd, and a bare worker in workerd, alternating. wrangler's proxy is in front of none of them. */
export async function measureEdge(
  rig: Rig,
  plan: { clients: readonly number[]; rounds: number; seconds: number },
  say: (line: string) => void,
): Promise<Part> {
  const secret = randomBytes(32).toString("base64url");
  const { crew } = await signTokens(secret);
  const bundle = await buildBundle(rig.dir);
  const hosts = await startHosts(rig, secret, bundle.dir);
  const variants = HOSTS.flatMap((host) => KINDS.map((kind) => ({ host, kind, rounds: new Map<number, Round[]>() })));
  for (const { host, kind } of variants) await load(hosts[host], kind, crew, 16, WARM_UP_S);
  for (let round = 1; round <= plan.rounds; round += 1) {
    say(`round ${round} of ${plan.rounds}`);
    for (const clients of plan.clients) {
      for (const { host, kind, rounds } of variants) {
        await rig.empty();
        const measured = await load(hosts[host], kind, crew, clients, plan.seconds);
        rounds.set(clients, [...(rounds.get(clients) ?? []), measured]);
      }
    }
  }
  await Promise.all(HOSTS.map((host) => hosts[host].process.stop()));
  await rig.empty();

  const rateOf = (host: HostName, kind: Kind, clients: number) =>
    median(
      variants
        .find((v) => v.host === host && v.kind === kind)
        ?.rounds.get(clients)
        ?.map((r) => r.perSecond) ?? [],
    );
  const tables = plan.clients.map((clients) => ({
    title: `On Node and in workerd, ${clients} ${clients === 1 ? "client" : "clients"}`,
    lines: [
      ...variants.flatMap(({ host, kind, rounds }) => lines(`${host}: ${kind}`, rounds.get(clients) ?? [])),
      ...KINDS.map((kind) => ({
        what: `edge: ${kind}, of a bare worker's rate`,
        measured: rateOf("edge", kind, clients) / rateOf("bare worker", kind, clients),
        unit: "",
        goal: GOAL[kind],
      })),
    ],
  }));
  const size = {
    title: "Edge bundle",
    lines: [
      { what: "as it is", measured: bundle.bytes / 1024, unit: "KiB" },
      // The least that a plan of Cloudflare Workers allows.
      { what: "compressed", measured: bundle.gzip / 1024, unit: "KiB", goal: { atMost: 3 * 1024 } },
    ],
  };
  const rounds = variants.map((v) => ({ ...v, rounds: Object.fromEntries(v.rounds) }));
  return { tables: [...tables, size], numbers: { bundle, rounds } };
}

const lines = (what: string, rounds: readonly Round[]) => [
  {
    what,
    measured: median(rounds.map((r) => r.perSecond)),
    unit: "/s",
    note: `p50 ${median(rounds.map((r) => r.p50)).toFixed(1)} ms, p99 ${median(rounds.map((r) => r.p99)).toFixed(1)} ms, CPU ${medianOf(rounds.map((r) => r.cpu))?.toFixed(0) ?? "-"} us`,
  },
];

async function startHosts(rig: Rig, secret: string, bundle: string): Promise<Record<HostName, Host>> {
  const env = { REDIS_URL: rig.redis.url, JWT_SECRET: secret, LOG_LEVEL: "warn", ...UNLIMITED };
  const port = await freePort();
  const node = await startProcess({
    name: "functions-node",
    script: script("functions/hosts/node.ts"),
    output: join(rig.dir, "functions-node.log"),
    env: { ...env, PORT: String(port) },
    readyWhen: async ({ signal }) =>
      (await fetch(`http://127.0.0.1:${port}${BASE_PATH}/health`, { signal })).headers.has("content-type"),
  });
  const compatibilityDate = /^compatibility_date = "(.*)"$/m.exec(readFileSync(script("wrangler.toml"), "utf8"))?.[1];
  if (compatibilityDate === undefined) throw new BenchError("wrangler.toml has no compatibility_date");
  const bare = await startWorkerd(rig.dir, "bare", { ...BARE, compatibilityDate });
  const edge = await startWorkerd(rig.dir, "edge", {
    modules: readBundle(bundle, "cloudflare.js"),
    compatibilityDate,
    vars: { ...env, REDIS_PREFIX: "socket-bridge", MAX_BACKLOG: "1000000", EDGE_SHARDS: "1" },
    durableObject: { binding: "CAD_BACKEND", className: "CadBackend" },
  });
  return {
    node: { process: node, port },
    "bare worker": { process: bare, port: bare.port },
    edge: { process: edge, port: edge.port },
  };
}

/** Each client sends its next request when the one before is answered. */
async function load(host: Host, kind: Kind, token: string, clients: number, seconds: number): Promise<Round> {
  const { port } = host;
  const connections = await Promise.all(Array.from({ length: clients }, () => HttpConnection.open(port)));
  const tookMs: number[] = [];
  const bearer = kind === "accept" ? token : "none";
  const used = watchCpu({ host: host.process.pid });
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
  const cpu = used().host;
  return {
    perSecond: tookMs.length / took,
    p50: percentile(tookMs, 0.5),
    p99: percentile(tookMs, 0.99),
    cpu: cpu === undefined ? undefined : cpu / tookMs.length,
  };
}

/** What `npm run deploy` would upload, beside the static files. */
async function buildBundle(dir: string): Promise<{ dir: string; bytes: number; gzip: number }> {
  const out = join(dir, "bundle");
  const args = ["--no-warnings", script(join("node_modules", WRANGLER)), "deploy", "--dry-run", "--outdir", out];
  await promisify(execFile)(process.execPath, args, { cwd: script("."), timeout: WITH_BUNDLE_MS });
  const bundle = readFileSync(join(out, "cloudflare.js"));
  return { dir: out, bytes: bundle.length, gzip: gzipSync(bundle).length };
}
