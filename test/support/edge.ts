import { afterAll, inject, onTestFailed, onTestFinished } from "vitest";
import { createTestHarness, type TestHarness } from "wrangler";
import { forgetPrefix } from "../../tools/setup/redis-probe.ts";
import { freshPrefix } from "./redis.ts";

/** The functions in the real workerd, with wrangler.toml; what is given takes the place of its variables and secrets. */
async function startHarness({ REDIS_URL = "", JWT_SECRET = "", PAYLOAD_KEYS = "", ...vars }: Record<string, string>) {
  process.env["WRANGLER_SEND_METRICS"] = "false";
  process.env["CLOUDFLARE_CF_FETCH_ENABLED"] = "false";
  const configPath = new URL("../../wrangler.toml", import.meta.url);
  const harness = createTestHarness({
    workers: [{ configPath, vars, secrets: { REDIS_URL, JWT_SECRET, PAYLOAD_KEYS } }],
  });
  const { url } = await harness.listen();
  return { harness, origin: url.origin };
}

/** A workerd takes a second to start: the tests of a file share one, and with it a prefix. */
const prefix = freshPrefix();
let shared: ReturnType<typeof startHarness> | undefined;
afterAll(async () => await (await shared)?.harness.close());

/** Keeps what is to be done once the test that started something, or the file, is over. */
export type AtEnd = (end: () => Promise<void>) => void;

/** What the runtime logged, beside a test that failed. */
const debugIfFailed = (harness: TestHarness) => onTestFailed(() => harness.debug());

/** Where the functions of a test answer, and under which prefix: one of which Redis knows nothing yet. */
export async function startOnEdge(
  env: Record<string, string>,
  own: boolean,
  atEnd: AtEnd = onTestFinished,
): Promise<{ origin: string; prefix: string }> {
  if (own) {
    const started = await startHarness(env);
    atEnd(() => started.harness.close());
    if (atEnd === onTestFinished) debugIfFailed(started.harness);
    return { origin: started.origin, prefix: env["REDIS_PREFIX"] ?? "" };
  }
  await forgetPrefix(inject("redisUrl"), prefix);
  const { harness, origin } = await (shared ??= startHarness({ ...env, REDIS_PREFIX: prefix }));
  harness.clearLogs();
  debugIfFailed(harness);
  return { origin, prefix };
}
