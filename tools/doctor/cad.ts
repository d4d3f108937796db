import { clock, type Finding, fine, wrong } from "../../shared/health/check-redis.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { noLog } from "../../shared/util/log.ts";
import { parseConfirmModes } from "../../worker/cad/confirm-modes.ts";
import { type CadEndpoint, endpointOf } from "../../worker/cad/endpoint.ts";
import { exchange } from "../../worker/cad/http-exchange.ts";
import { MAX_FRAME_BYTES } from "../../worker/cad/connection-fault.ts";
import { createSession, type Session } from "../../worker/cad/session.ts";
import { createTransport } from "../../worker/cad/transport.ts";
import type { WorkerConfig } from "../../worker/config/worker-env.ts";

const CAD_ANSWER_MS = 5000;

/** Checks that the CAD is reachable the way the worker reaches it, accepts the token and answers; and reads its clock. */
export async function lookAtCad(config: WorkerConfig): Promise<Finding[]> {
  const [connection, time] = await Promise.all([tryConnection(config), lookAtClock(endpointOf(config))]);
  return [connection, ...time];
}

/** Compares clocks by the Date header of any HTTP answer; no finding without one: the connection check reports why. */
async function lookAtClock({
  url,
  path = "/socket.io",
  headers = {},
  query,
  tls = {},
}: CadEndpoint): Promise<Finding[]> {
  const asked = new URL(`${path.replace(/\/$/, "")}/`, url);
  asked.search = String(new URLSearchParams({ ...query, EIO: "4", transport: "polling" }));
  const from = Date.now();
  let date = Number.NaN;
  await exchange(asked, {
    method: "GET",
    body: undefined,
    headers,
    tls,
    signal: AbortSignal.timeout(CAD_ANSWER_MS),
    maxBytes: MAX_FRAME_BYTES,
    answered: (all) => void (date = Date.parse(all.date ?? "")),
  }).catch(() => undefined);
  // The header is in whole seconds: adding half of one halves the largest error.
  return Number.isNaN(date) ? [] : [clock("the CAD", Math.round(date + 500 - (from + Date.now()) / 2))];
}

/** Connects as the worker does, but joins no room and sends nothing. */
async function tryConnection(config: WorkerConfig): Promise<Finding> {
  const where = withoutCredentials(config.CAD_BACKEND_URL);
  const held: { session?: Session } = {};
  const transport = createTransport(endpointOf(config), {
    connected: (recovered) => held.session?.events.connected(recovered),
    refused: (why) => held.session?.events.refused(why),
    disconnected: (why) => held.session?.events.disconnected(why),
    event: async (name, payload, missed) => (await held.session?.events.event(name, payload, missed)) ?? false,
  });
  const session = createSession({
    transport,
    token: () => config.CAD_BACKEND_AUTH_TOKEN,
    rooms: { all: async () => [], note: () => undefined },
    modeOf: parseConfirmModes(config.CAD_CONFIRM),
    times: {
      confirmMs: CAD_ANSWER_MS,
      authWaitMs: Math.min(config.CAD_AUTH_WAIT_MS, CAD_ANSWER_MS),
      barrierHoldMs: 0,
      barrierTimeoutMs: CAD_ANSWER_MS,
      barrierIdleMs: CAD_ANSWER_MS,
    },
    onEvent: async () => false,
    onOpen: () => undefined,
    log: noLog,
  });
  held.session = session;
  try {
    await session.open();
    const { authenticated } = session.state();
    const does = authenticated ? "accepts the token and answers" : "answers, but not fastapi:authenticate";
    return fine(
      `the CAD ${does} at ${where}, over ${transport.via() ?? "no transport"}${fallback(config, transport.via())}`,
    );
  } catch (error) {
    const said = error instanceof Error ? error.message || error.name : String(error);
    return wrong("cad-disconnected", { reason: `${where}: ${said}` });
  } finally {
    session.end("the doctor has finished", "leave");
  }
}

/** Explains why the first transport was not used; empty if it was. */
const fallback = ({ CAD_TRANSPORTS: [first] }: WorkerConfig, via: string | undefined): string =>
  via === undefined || via === first ? "" : `, because ${first} is blocked: check proxies in between`;
