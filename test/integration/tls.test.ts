import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { startCad } from "../../tools/simulator/cad.ts";
import { CAD_TOKEN, JWT_SECRET, tokens } from "../support/bridge.ts";
import { makeCertificate } from "../support/certificate.ts";
import { startHostProcess } from "../support/host-process.ts";
import { startTlsSentinel } from "../support/sentinel.ts";
import { connectRedis } from "../../shared/redis/redis.ts";
import { noLog } from "../../shared/util/log.ts";
import { until } from "../../tools/support/until.ts";

const PREFIX = "tls-test";
const PASSWORD = "p@ss/word:with?signs";
/** All that the bridge needs, as the README says it. */
const RIGHTS = [`~{${PREFIX}}:*`, `&{${PREFIX}}:*`, "+@all", "-@admin", "-@dangerous", "+info"];

/**
 * A Redis that takes TLS, and a user of the bridge who may do no more than the bridge has to.
 * @param clients whether they have to show a certificate
 */
async function startTlsRedis(clients: "yes" | "no" = "no") {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-tls-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { cert, key } = makeCertificate(dir);
  const port = await freePort();
  const redis = await startRedis({
    dir,
    config: {
      "tls-port": String(port),
      "tls-cert-file": cert,
      "tls-key-file": key,
      "tls-ca-cert-file": cert,
      "tls-auth-clients": clients,
    },
  });
  onTestFinished(() => redis.stop());
  const admin = new Redis(redis.url);
  await admin.acl("SETUSER", "bridge", "on", `>${PASSWORD}`, ...RIGHTS);
  admin.disconnect();
  const url = (password: string) => `rediss://bridge:${encodeURIComponent(password)}@localhost:${port}`;
  return { dir, cert, key, port, url };
}

const post = (url: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/units/status`, {
    method: "POST",
    headers: { Authorization: `Bearer ${tokens.crew}`, "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ unit_id: "M1", status: "enroute" }),
    signal: AbortSignal.timeout(15_000),
  });

test("a Redis with TLS and a user of its own carries a command all the way to the CAD", async () => {
  const { dir, cert, url } = await startTlsRedis();
  const env = { REDIS_URL: url(PASSWORD), REDIS_PREFIX: PREFIX, NODE_EXTRA_CA_CERTS: cert };
  const cad = await startCad({ token: CAD_TOKEN, character: "modern" });
  onTestFinished(() => cad.stop());
  const api = await startHostProcess(dir, { ...env, JWT_SECRET });
  const cadEnv = { CAD_BACKEND_URL: cad.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN, WORKER_PORT: "0" };
  const worker = await startProcess({
    name: "worker",
    script: "worker/main.ts",
    output: join(dir, "worker.log"),
    env: { ...env, ...cadEnv, LOG_FILE: undefined },
  });
  onTestFinished(async () => void (await worker.stop()));
  const answer = await post(api, { Prefer: "wait=10" });
  expect(await answer.json()).toMatchObject({ status: "confirmed" });
  expect((await fetch(`${api}/health`)).status).toBe(200);
});

test.each([
  [
    "the wrong password",
    (tls: Awaited<ReturnType<typeof startTlsRedis>>) => ({ url: tls.url("x"), ca: tls.cert, code: "redis-refused" }),
  ],
  ["a certificate of nobody known", (tls) => ({ url: tls.url(PASSWORD), ca: "", code: "redis-unavailable" })],
])("with %s it answers 503, and does not hang", async (_what, given) => {
  const tls = await startTlsRedis();
  const { url, ca, code } = given(tls);
  const env = { REDIS_URL: url, REDIS_PREFIX: PREFIX, NODE_EXTRA_CA_CERTS: ca, JWT_SECRET };
  const answer = await post(await startHostProcess(tls.dir, env));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code });
});

/** At the edge there are no files, and the certificates are the platform's. */
const onNode = inject("host") === "node";

test.runIf(onNode)(
  "a Redis that asks for a client certificate is reached with REDIS_TLS_*, and not without",
  async () => {
    const tls = await startTlsRedis("yes");
    const env = { REDIS_URL: tls.url(PASSWORD), REDIS_PREFIX: PREFIX, JWT_SECRET };
    const ca = { REDIS_TLS_CA_FILE: tls.cert };
    const shown = { ...ca, REDIS_TLS_CERT_FILE: tls.cert, REDIS_TLS_KEY_FILE: tls.key };
    expect((await post(await startHostProcess(tls.dir, { ...env, ...shown }))).status).toBe(202);
    const refused = await post(await startHostProcess(tls.dir, { ...env, ...ca }));
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "redis-unavailable" });
  },
  60_000,
);

test.runIf(onNode)(
  "a master that is named by a Sentinel with TLS is reached with the authority in REDIS_TLS_CA",
  async () => {
    const { dir, cert, key, port } = await startTlsRedis();
    const url = await startTlsSentinel({ dir, cert, key, master: port });
    const config = { REDIS_URL: url, REDIS_TLS_CA: readFileSync(cert, "utf8") };
    const redis = connectRedis(config, "request", noLog);
    onTestFinished(() => redis.disconnect());
    await until("it is connected", () => redis.status === "ready", 20_000);
    expect(await redis.set("{tls-test}:x", "1")).toBe("OK");
    const stranger = connectRedis({ REDIS_URL: url }, "request", noLog);
    onTestFinished(() => stranger.disconnect());
    await expect(stranger.ping()).rejects.toThrow();
  },
  60_000,
);
