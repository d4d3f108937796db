import { expect, test } from "vitest";
import { createSession } from "../../worker/cad/session.ts";
import type { Transport } from "../../worker/cad/transport.ts";
import { keptLog } from "../support/log.ts";
import { until } from "../../tools/support/until.ts";

/** A session over a line that the test holds in its hands. */
function fresh(rooms: () => Promise<never[]> = async () => [], token = () => "The-CAD-token") {
  const emitted: string[] = [];
  const barriers: (() => void)[] = [];
  const line = { closed: 0 };
  const transport: Transport = {
    connect: () => undefined,
    emit: (event) => void emitted.push(event),
    barrier: (answered) => void barriers.push(answered),
    close: () => void (line.closed += 1),
    leave: () => void (line.closed += 1),
  };
  const session = createSession({
    transport,
    token,
    rooms: { all: rooms, note: () => undefined },
    modeOf: () => "auto",
    times: { confirmMs: 1000, authWaitMs: 50, barrierHoldMs: 0, barrierTimeoutMs: 1000, barrierIdleMs: 10 },
    onEvent: async () => true,
    onOpen: () => undefined,
    log: keptLog().log,
  });
  const authenticated = () => void session.events.event("authenticated", { success: true }, false);
  return { session, emitted, barriers, line, authenticated };
}

const SEND = { commandId: "c", event: "unit:status", payload: { unitId: "1" }, echo: undefined };

test("is ready once it is connected, authenticated and answering", async () => {
  const { session, barriers, authenticated } = fresh();
  const opened = session.open();
  session.events.connected(false);
  authenticated();
  for (let i = 0; i < 2; i += 1) {
    await until("a barrier goes out", () => barriers.length > 0);
    barriers.shift()?.();
  }
  await opened;
  expect(session.state()).toMatchObject({ ready: true, connected: true, authenticated: true });
  session.end("done");
});

test("one that ends while it authenticates sends nothing any more, and opens nothing", async () => {
  const { session, emitted, barriers, line } = fresh();
  const opened = session.open();
  session.events.connected(false);
  await until("it authenticates", () => emitted.includes("fastapi:authenticate"));
  session.end("stopped");
  await expect(opened).rejects.toThrow("stopped");
  expect({ barriers: barriers.length, closed: line.closed }).toEqual({ barriers: 0, closed: 1 });
});

test("one that ends while its rooms are looked up joins none", async () => {
  const looking = Promise.withResolvers<never[]>();
  const asked = Promise.withResolvers<void>();
  const { session, emitted, authenticated } = fresh(() => {
    asked.resolve();
    return looking.promise;
  });
  const opened = session.open();
  session.events.connected(false);
  authenticated();
  await asked.promise;
  session.events.disconnected("transport close");
  looking.resolve(["unit:1" as never]);
  await expect(opened).rejects.toThrow("transport close");
  expect(emitted).toEqual(["fastapi:authenticate"]);
});

test("one that ends right after the proof that it answers is not taken for ready", async () => {
  const { session, barriers, authenticated } = fresh();
  const opened = session.open();
  session.events.connected(false);
  authenticated();
  await until("the first barrier goes out", () => barriers.length > 0);
  barriers.shift()?.();
  await until("the second barrier goes out", () => barriers.length > 0);
  barriers.shift()?.();
  session.events.disconnected("io server disconnect");
  await expect(opened).rejects.toThrow("io server disconnect");
  expect(session.state().ready).toBe(false);
  expect(await session.send(SEND, undefined)).toEqual({ result: "disconnected" });
});

test("a refusal by the CAD that quotes the token is reported without the token", async () => {
  const words = 'bad token "The-CAD-token", length 13';
  const says: ((session: ReturnType<typeof fresh>["session"]) => void)[] = [
    (session) => session.events.refused(words),
    (session) => void session.events.event("authenticated", { success: false, error: words }, false),
  ];
  for (const say of says) {
    const { session } = fresh();
    const opened = session.open();
    session.events.connected(false);
    say(session);
    const error = await opened.catch((thrown: unknown) => String(thrown));
    expect(error).toContain("length 13");
    expect(error).not.toContain("The-CAD");
  }
});

test("so is one that quotes a token which another has taken the place of meanwhile", async () => {
  const tokens = ["The-CAD-token"];
  const { session } = fresh(undefined, () => tokens.shift() ?? "the next one");
  const opened = session.open();
  session.events.connected(false);
  void session.events.event("authenticated", { success: false, error: "bad: The-CAD-token" }, false);
  await expect(opened).rejects.toThrow("bad: …");
});
