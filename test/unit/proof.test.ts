import { describe, expect, test } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { proofOf } from "../../shared/commands/proof.ts";
import { toReceipt } from "../../shared/commands/receipt.ts";
import { confirmModesText, parseConfirmModes } from "../../worker/cad/confirm-modes.ts";

describe("what a stored confirmation proves", () => {
  test.each([
    ["units/status", "ack", "ack", "acknowledged"],
    ["units/status", "echo", "echo", "echoed"],
    ["incidents", "echo", "echo", "relayed"],
    ["assignments/send", "echo", "echo", "relayed"],
    ["incidents", "ack", "ack", "acknowledged"],
    ["units/status", "barrier", "barrier", "received"],
    // As a former version stored it.
    ["transport/completed", "fence", "barrier", "received"],
    ["of/a/newer/version", "echo", "echo", "received"],
  ])("%s by %s", (command, stored, by, proof) => {
    expect(proofOf(command, stored)).toEqual({ by, proof });
  });

  test.each(["", "response", "01890000-0000-4000-8000-000000000000"])("nothing by %j", (stored) => {
    expect(proofOf("units/status", stored)).toBeUndefined();
  });

  test("a superseded command's receipt names what superseded it and no proof", () => {
    const record = { id: "1", kind: "units/location", keys: ["unit:1" as const], user: "u", sends: 0, acceptedAt: 0 };
    const unset = {
      expiresAt: undefined,
      sentAt: undefined,
      settledAt: 1,
      redriveOf: undefined,
      redrivenAs: undefined,
      held: false,
      ...({ role: "crew", fingerprint: "", latestWins: true, ttl: undefined, issuedAt: undefined } as const),
    };
    const receipt = toReceipt({ ...record, ...unset, state: "superseded", reason: "", by: "2" });
    expect(receipt).toMatchObject({ superseded_by: "2", proof: null, confirmed_by: null });
  });
});

test("every command whose echo follows a write sets a value, and every relay adds", () => {
  const effects = commands.flatMap(({ name, echo, effect }) => (echo ? [[name, echo.proves, effect]] : []));
  expect(effects.filter(([, proves, effect]) => (proves === "write") !== (effect === "sets"))).toEqual([]);
  expect(effects).toHaveLength(6);
});

const modes = (text: string, ...events: string[]) => events.map(parseConfirmModes(text));

describe("CAD_CONFIRM", () => {
  test.each([
    ["auto", "auto", "auto"],
    ["barrier", "barrier", "barrier"],
    ["fence", "barrier", "barrier"],
    ["auto,unit:status=barrier", "barrier", "auto"],
    ["echo, unit:status=fence  unit:location=ack", "barrier", "ack"],
    ["unit:status=barrier", "barrier", "auto"],
  ])("%s", (text, status, location) => {
    expect(modes(text, "unit:status", "unit:location")).toEqual([status, location]);
  });

  test.each([
    ["sometimes", /must be one of: auto, ack, echo, barrier/],
    ["auto,unit:status=never", /must be one of: auto/],
    ["auto,unit:stat=barrier", /the event must be one of: .*unit:status/],
    ["auto,barrier", /one mode for every event comes first/],
  ])("%s is refused", (text, message) => {
    expect(confirmModesText.safeParse(text).error?.issues[0]?.message).toMatch(message);
  });
});
