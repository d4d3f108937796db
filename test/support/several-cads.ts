import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { Redis } from "ioredis";
import { inject, onTestFinished } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { type RunningProcess, startProcess } from "../../tools/setup/process.ts";
import { type Cad, type CadOptions, startCad } from "../../tools/simulator/cad.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, JWT_SECRET, tokens } from "./bridge.ts";
import { keptLog } from "./log.ts";
import { freshPrefix } from "./redis.ts";

/** One CAD of the file, and what it owns. */
export interface CadToStart {
  id: string;
  owns: unknown;
  cad?: Partial<CadOptions>;
  /** Beside id, urls, token and owns. */
  more?: Record<string, unknown>;
}

/** Several CADs behind functions of this process; workers are processes of their own. */
export async function startSeveral(wanted: readonly CadToStart[], env: Record<string, string> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-cads-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const redis = new Redis(inject("redisUrl"), { maxRetriesPerRequest: null });
  onTestFinished(() => redis.disconnect());
  const prefix = freshPrefix();
  const cads = new Map<string, Cad>();
  for (const { id, cad } of wanted) {
    const started = await startCad({ token: CAD_TOKEN, ...cad });
    onTestFinished(() => started.stop());
    cads.set(id, started);
  }
  const file = join(dir, "cads.json");
  const entries = wanted.map(({ id, owns, more }) => ({
    id,
    urls: [cads.get(id)?.url],
    token: CAD_TOKEN,
    owns,
    ...more,
  }));
  writeFileSync(file, JSON.stringify({ cads: entries }));
  const shared = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: prefix, CADS_FILE: file, ...env };
  const { log, lines } = keptLog();
  const limits = { RATE_LIMIT_UNAUTHENTICATED: "0", PORT: "0", JWT_SECRET };
  const functions = await startFunctions(parseConfig(functionsEnv, { ...shared, ...limits }, fromDisk), log);
  onTestFinished(() => functions.stop());
  const url = `http://127.0.0.1:${functions.port}/api/socket-bridge`;

  async function ask(method: string, path: string, body?: unknown, token = tokens.admin, more = {}) {
    const headers = {
      ...more,
      Authorization: `Bearer ${token}`,
      ...(body !== undefined && { "Content-Type": "application/json" }),
    };
    const init = { method, headers, signal: AbortSignal.timeout(30_000) };
    const response = await fetch(`${url}${path}`, body === undefined ? init : { ...init, body: JSON.stringify(body) });
    const text = await response.text();
    const json = response.headers.get("Content-Type")?.includes("json");
    return {
      status: response.status,
      headers: response.headers,
      body: (json ? JSON.parse(text) : { text }) as Record<string, unknown>,
    };
  }
  async function startWorker(name: string): Promise<RunningProcess> {
    const worker = await startProcess({
      name,
      script: "worker/main.ts",
      output: join(dir, `${name}.log`),
      env: { ...shared, WORKER_INSTANCE: name, WORKER_PORT: "0", LOG_FILE: undefined },
    });
    onTestFinished(async () => void (await worker.stop()));
    return worker;
  }
  return {
    ...{ cads, prefix, url, redis, file, redisUrl: inject("redisUrl"), logs: lines, startWorker },
    ask,
    get: (path: string, token?: string) => ask("GET", path, undefined, token),
    post: (path: string, body: unknown, token?: string, headers?: Record<string, string>) =>
      ask("POST", path, body, token, headers),
    /** Which worker leads each CAD, as its lease says. */
    async owners(): Promise<Record<string, string>> {
      const ids = wanted.map(
        ({ id, more }) =>
          [id, typeof more?.["redis_prefix"] === "string" ? more["redis_prefix"] : `${prefix}-${id}`] as const,
      );
      const found = await Promise.all(ids.map(([, own]) => redis.get(outboxKeys(own).lease)));
      return Object.fromEntries(ids.flatMap(([id], i) => (found[i] ? [[id, found[i].replace(/^\d+:/, "")]] : [])));
    },
    settled: (id: unknown, withinMs = 20_000) =>
      until(
        `${String(id)} is settled`,
        async () => {
          const { status, body } = await ask("GET", `/commands/${String(id)}`);
          const receipt = body as unknown as Receipt;
          return status === 200 && isFinal(receipt.status) && receipt;
        },
        withinMs,
      ),
  };
}
export type Several = Awaited<ReturnType<typeof startSeveral>>;

/** A token with more claims than a role. */
export const tokenOf = (claims: Record<string, unknown>): Promise<string> =>
  new SignJWT({ role: "dispatcher", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("tests")
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(JWT_SECRET));
