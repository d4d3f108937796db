import { describe, expect, test } from "vitest";
import { incidentsCreate } from "../../shared/commands/incidents-create.ts";
import { incidentsStatus } from "../../shared/commands/incidents-status.ts";
import { commands } from "../../shared/commands/table.ts";
import {
  type AckHabits,
  createConfirmations,
  type Delivery,
  FIRST_ACK_GRACE_MS,
  type SendResult,
} from "../../worker/cad/confirm.ts";
import type { ConfirmMode } from "../../worker/cad/confirm-modes.ts";
import { isEchoOf } from "../../worker/cad/echo.ts";
import { parseAck } from "../../worker/cad/ack.ts";
import { until } from "../../tools/support/until.ts";

type Answered = (error: Error | null, answer: unknown) => void;

/** Confirmations over a line and barriers that the test answers by hand. */
function fresh(mode: ConfirmMode, habits: AckHabits = new Map(), holdMs = 0) {
  const acks: Answered[] = [];
  const proofs: (() => void)[] = [];
  const confirmations = createConfirmations({
    modeOf: () => mode,
    timeoutMs: 20,
    holdMs,
    habits,
    barriers: { proof: () => new Promise((resolve) => proofs.push(resolve)), stop: () => undefined },
    transport: { emit: (_event, _payload, ack) => void (ack && acks.push(ack.answered)) },
  });
  const send = (delivery: Partial<Delivery> = {}) => {
    const state: { outcome?: SendResult } = {};
    const done = confirmations.send({ ...STATUS, ...delivery }).then((outcome) => (state.outcome = outcome));
    return { state, done };
  };
  return { confirmations, acks, proofs, habits, send };
}

const echo = { event: "unit:status:updated", proves: "write", fields: ["unitId", "status", "incidentId"] } as const;
const STATUS: Delivery = { commandId: "c1", event: "unit:status", payload: { unitId: "1", status: "enroute" }, echo };
const WITHOUT_ECHO = { event: "transport:completed", payload: { incidentId: "1" }, echo: undefined };
const LATE = new Error("operation has timed out");

const ackedBefore = () => fresh("auto", new Map([["units:other", "acks"]]));

describe("confirmation mode auto", () => {
  test("the echo confirms", async () => {
    const { confirmations, send } = fresh("auto");
    const { done } = send();
    expect(confirmations.onBroadcast(echo.event, { unitId: "1", status: "enroute", incidentId: null })).toBe("c1");
    expect(await done).toEqual({ result: "confirmed", by: "echo" });
    expect(confirmations.inFlight()).toBe(0);
  });

  test("an ack confirms", async () => {
    const { acks, send } = fresh("auto");
    const { done } = send();
    acks[0]?.(null, { success: true });
    expect(await done).toEqual({ result: "confirmed", by: "ack" });
  });

  test("another's event for the same unit confirms nothing", () => {
    const { confirmations, send } = fresh("auto");
    const { state } = send();
    expect(confirmations.onBroadcast(echo.event, { unitId: "1", status: "onscene" })).toBeUndefined();
    expect(confirmations.onBroadcast(echo.event, { unitId: "2", status: "enroute" })).toBeUndefined();
    expect(confirmations.onBroadcast(echo.event, null)).toBeUndefined();
    expect(confirmations.onBroadcast(echo.event, { unitId: { toString: 1 } })).toBeUndefined();
    expect(state.outcome).toBeUndefined();
  });

  test("from a CAD whose echoes keep ids, an equal broadcast without one is another client's, and confirms nothing", async () => {
    const { confirmations, send } = fresh("auto");
    const values = { unitId: "1", status: "enroute" };
    const first = send();
    expect(confirmations.onBroadcast(echo.event, { ...values, context: { commandId: "c1" } })).toBe("c1");
    await first.done;
    const { state, done } = send({ commandId: "c2" });
    expect(confirmations.onBroadcast(echo.event, values)).toBeUndefined();
    expect(state.outcome).toBeUndefined();
    expect(confirmations.onBroadcast(echo.event, { ...values, context: { commandId: "c2" } })).toBe("c2");
    expect(await done).toEqual({ result: "confirmed", by: "echo" });
  });

  test("neither in time is unconfirmed once the barrier proves receipt, not before", async () => {
    const { acks, proofs, send } = fresh("auto");
    const { state, done } = send();
    acks[0]?.(LATE, undefined);
    await Promise.resolve();
    expect(state.outcome).toBeUndefined();
    proofs[0]?.();
    expect(await done).toEqual({ result: "unconfirmed", by: "barrier" });
  });

  test("an event without an echo, from a CAD that does not ack it, is received", async () => {
    const { proofs, habits, send } = fresh("auto");
    const first = send(WITHOUT_ECHO);
    proofs[0]?.();
    expect(await first.done).toEqual({ result: "received", by: "barrier" });
    expect(habits.get("transport:completed")).toBe("silent");
  });

  test("a CAD that was seen to ack the event is waited for", async () => {
    const { acks, proofs, send } = fresh("auto", new Map([["transport:completed", "acks"]]));
    const { done } = send(WITHOUT_ECHO);
    expect(proofs).toHaveLength(0);
    acks[0]?.(LATE, undefined);
    proofs[0]?.();
    expect(await done).toEqual({ result: "unconfirmed", by: "barrier" });
  });

  describe("from a CAD that was seen to ack something else", () => {
    test("an event without an echo is waited for from its first time on, so that a late refusal is heard", async () => {
      const { acks, proofs, send } = ackedBefore();
      const { done } = send(WITHOUT_ECHO);
      expect(proofs).toHaveLength(0);
      acks[0]?.(null, { success: false, error: "no" });
      expect(await done).toMatchObject({ result: "rejected" });
    });

    test("until one full wait passed in silence for it", async () => {
      const { acks, proofs, send } = ackedBefore();
      const first = send(WITHOUT_ECHO);
      acks[0]?.(LATE, undefined);
      proofs[0]?.();
      expect(await first.done).toEqual({ result: "unconfirmed", by: "barrier" });
      const second = send(WITHOUT_ECHO);
      proofs[1]?.();
      expect(await second.done).toEqual({ result: "received", by: "barrier" });
    });

    test("also if that is seen while the first one is on its way", async () => {
      const { acks, proofs, habits, send } = fresh("auto");
      const { state, done } = send(WITHOUT_ECHO);
      proofs[0]?.();
      send();
      acks[1]?.(null, { success: true });
      expect(habits.get("unit:status")).toBe("acks");
      const sent = performance.now();
      await until("the grace has passed", () => performance.now() > sent + FIRST_ACK_GRACE_MS + 20);
      expect(state.outcome).toBeUndefined();
      acks[0]?.(null, { success: false, error: "busy", retryable: true });
      expect(await done).toMatchObject({ result: "refused" });
    });

    test("not if its own wait is over by then: it is not waited for for ever", async () => {
      const { acks, proofs, send } = fresh("auto");
      const first = send(WITHOUT_ECHO);
      acks[0]?.(LATE, undefined);
      proofs[0]?.();
      send({ ...WITHOUT_ECHO, commandId: "c2" });
      acks[1]?.(null, { success: true });
      expect(await first.done).toEqual({ result: "received", by: "barrier" });
    });
  });

  test("an ack that comes late is noted for the next time", () => {
    const { acks, habits, send } = fresh("auto", new Map([["transport:completed", "silent"]]));
    send(WITHOUT_ECHO);
    acks[0]?.(null, undefined);
    expect(habits.get("transport:completed")).toBe("acks");
  });
});

test("in ack mode the echo alone confirms nothing", () => {
  const { confirmations, send } = fresh("ack");
  const { state } = send();
  expect(confirmations.onBroadcast(echo.event, STATUS.payload)).toBeUndefined();
  expect(state.outcome).toBeUndefined();
});

test("in echo mode no ack is asked for, and silence is unconfirmed", async () => {
  const { acks, proofs, send } = fresh("echo");
  const { done } = send();
  expect(acks).toHaveLength(0);
  const poll = setInterval(() => proofs[0]?.(), 5);
  expect(await done).toEqual({ result: "unconfirmed", by: "barrier" });
  clearInterval(poll);
});

test("in barrier mode the barrier is all that is waited for", async () => {
  const { acks, proofs, send } = fresh("barrier");
  const { done } = send();
  expect(acks).toHaveLength(0);
  proofs[0]?.();
  expect(await done).toEqual({ result: "received", by: "barrier" });
});

test("receipt alone is held back, since the CAD's handlers run concurrently", async () => {
  const { proofs, send } = fresh("barrier", new Map(), 40);
  const { done } = send();
  const proven = performance.now();
  proofs[0]?.();
  expect(await done).toEqual({ result: "received", by: "barrier" });
  expect(performance.now() - proven).toBeGreaterThan(35);
});

test("when the connection ends, everything in flight is disconnected", async () => {
  const { confirmations, send } = fresh("auto");
  const all = [send(), send({ commandId: "c2", payload: { unitId: "2", status: "enroute" } })];
  confirmations.end();
  expect(await Promise.all(all.map((s) => s.done))).toEqual([{ result: "disconnected" }, { result: "disconnected" }]);
});

describe("the content of an ack", () => {
  test.each([
    undefined,
    null,
    true,
    "ok",
    1,
    {},
    { success: true },
    { ok: true },
    { status: "ok" },
    { id: 7, error: null },
  ])("%j is a yes", (answer) => expect(parseAck(answer, {})).toEqual({ verdict: "yes" }));
  test.each([
    false,
    { success: false },
    { ok: false, error: "x" },
    { status: "error" },
    { error: "x" },
    { error: { message: "x" } },
  ])("%j is a no for good", (answer) => expect(parseAck(answer, {})).toMatchObject({ verdict: "no", again: false }));
  test("retryable: true is a no for now", () => {
    const answer = parseAck({ success: false, error: "busy", retryable: true }, {});
    expect(answer).toEqual({ verdict: "no", again: true, reason: "the CAD said: busy" });
  });
  test.each([
    ['no such patient: "Zoë Ångström"', 'no such patient: "… …"'],
    ['{"name": "zo\\u00eb \\u00c5NGSTR\\u00d6M", "at": [-122.47654321, 37.7]}', '{"name": "… …", "at": [-….…, 37.7]}'],
    ["unit M12 does not exist at 4711 Canary-Row", "unit M12 does not exist at … …-…"],
  ])("what it quotes of the payload is left out of its reason: %s", (error, told) => {
    const sent = {
      unitId: "M12",
      patientName: "Zoë Ångström",
      location: { type: "Point", coordinates: [-122.47654321, 37.7] },
      billing: [{ street: "4711 Canary Row" }],
    };
    expect(parseAck({ error }, sent)).toMatchObject({ reason: `the CAD said: ${told}` });
  });
  test("its reason is cut short and kept on one line", () => {
    const answer = parseAck({ success: false, error: `a\nb${"x".repeat(1000)}` }, {});
    expect(answer.verdict === "no" && answer.reason).toMatch(/^the CAD said: a bx{197}$/);
  });
});

describe("recognition of an echo", () => {
  const sent = {
    incidentId: "7",
    field: "time_completed",
    timestamp: "2026-01-01T10:00:00+01:00",
    location: undefined,
  };
  const times = {
    event: "incident:timestamp:updated",
    proves: "write",
    fields: ["incidentId", "field", "timestamp", "location"],
  } as const;
  const heard = { incidentId: "7", field: "time_completed", timestamp: "2026-01-01T09:00:00.000Z", location: null };

  test("times are instants, absent is null, an id may have become a number", () => {
    expect(isEchoOf(times, sent, heard, "c")).toBe(true);
    expect(isEchoOf(times, sent, { ...heard, incidentId: 7 }, "c")).toBe(true);
  });
  test("any other value is no echo", () => {
    expect(isEchoOf(times, sent, { ...heard, timestamp: "2026-01-01T09:00:01Z" }, "c")).toBe(false);
    expect(isEchoOf(times, sent, { ...heard, location: { type: "Point" } }, "c")).toBe(false);
    expect(isEchoOf(times, sent, "7", "c")).toBe(false);
  });
  test("the status of an incident is the same in any case, any other text is not", () => {
    const status = incidentsStatus.echo;
    const lower = { incidentId: "I7", status: "at_facility" };
    expect(status && isEchoOf(status, lower, { ...lower, status: "AT_FACILITY" }, "c")).toBe(true);
    expect(status && isEchoOf(status, lower, { ...lower, incidentId: "i7" }, "c")).toBe(false);
    expect(isEchoOf(echo, { unitId: "1", status: "enroute" }, { unitId: "1", status: "ENROUTE" }, "c")).toBe(false);
  });
  test("an incident that comes back under id is the one that was sent", async () => {
    const { confirmations, send } = fresh("auto");
    const { done } = send({ event: "incident:created", payload: { incidentId: "7" }, echo: incidentsCreate.echo });
    expect(confirmations.onBroadcast("incident:new", { id: "8" })).toBeUndefined();
    expect(confirmations.onBroadcast("incident:new", { id: "7", incidentId: "8" })).toBeUndefined();
    expect(confirmations.onBroadcast("incident:new", { id: "7" })).toBe("c1");
    expect(await done).toEqual({ result: "confirmed", by: "echo" });
  });
  test("where the CAD kept the command's id, the id decides", () => {
    expect(isEchoOf(times, sent, { ...heard, context: { commandId: "other" } }, "c")).toBe(false);
    expect(isEchoOf(times, sent, { incidentId: "7", context: { commandId: "c" } }, "c")).toBe(true);
  });
});

test.each(commands.filter((c) => c.echo).map((c) => [c.name, c] as const))(
  "%s: what it sends, sent back as it is, is its echo",
  (_name, command) => {
    for (const example of command.examples) {
      const body = command.body.parse(example.body);
      const context = { commandId: "c", userId: "u", role: "crew", issuedAt: "2026-01-01T00:00:00.000000Z" } as const;
      const { payload } = command.wire(body, context);
      const back: unknown = JSON.parse(JSON.stringify(payload));
      expect(command.echo && isEchoOf(command.echo, payload, back, "c")).toBe(true);
    }
  },
);
