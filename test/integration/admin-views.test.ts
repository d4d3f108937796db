import { expect, test } from "vitest";
import { found, PROBLEMS, type ProblemCode } from "../../shared/health/problems.ts";
import { openAdmin } from "../support/admin-page.ts";
import { withDestinations } from "../support/destinations.ts";
import { startBridge } from "../support/bridge.ts";

const TEST_MS = 90_000;

test("names every code that a worker may report, with its sentence and its hint", { timeout: TEST_MS }, async (t) => {
  const bridge = await startBridge();
  const { page, names } = await openAdmin(bridge, "dispatcher", t.skip);
  await page.waitForSelector(".state.healthy");
  const codes = Object.keys(PROBLEMS) as ProblemCode[];
  const health = (await bridge.get("/health")).body;
  // One answer of the API with all of them: what is shown of each is the page's affair alone.
  const all = codes.map((code) => ({ ...found(code, {}), since: "2026-01-31T22:05:12.000Z" }));
  await page.route("**/health", (route) => route.fulfill({ json: { ...health, status: "unhealthy", problems: all } }));
  for (const code of codes) await names(code);
  expect(await page.locator(".problems li").count()).toBe(codes.length - 1);
});

test(
  "dead letters are looked at, revealed, redriven and discarded by the keyboard alone",
  { timeout: TEST_MS },
  async (t) => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { reject: { next: 3 } } } });
    for (const unit of ["M1", "M2", "M3"])
      await bridge.deliver("/units/status", { unit_id: `<b>${unit}`, status: "enroute" });
    bridge.cad.switches.reject = 0;
    const { page, complaints } = await openAdmin(bridge, "admin", t.skip);
    const press = async (label: RegExp) => {
      // What has the focus is asked for after each Tab: a control that cannot be reached fails the test.
      for (let i = 0; i < 60; i += 1) {
        const name = await page.evaluate<string>(
          "(document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')",
        );
        if (label.test(name)) return await page.keyboard.press("Enter");
        await page.keyboard.press("Tab");
      }
      throw new Error(`no control ${String(label)} was reached by Tab`);
    };
    await press(/^Dead letters$/);
    await page.waitForSelector("tbody tr:nth-child(3)");
    expect(await page.locator("table b").count()).toBe(0);

    await press(/^Reveal/);
    await page.waitForSelector("dialog[open]");
    await page.keyboard.type("why");
    await page.keyboard.press("Enter");
    expect(await page.locator("dialog[open]").count()).toBe(1);
    await page.keyboard.type(" they were refused");
    await page.keyboard.press("Enter");
    await page.waitForSelector("pre:has-text('unit_id')");
    expect(await page.locator("pre b").count()).toBe(0);

    await press(/^Discard /);
    await press(/^Cancel$/);
    expect(await page.locator("tbody tr").count()).toBe(3);
    await press(/^Discard /);
    await press(/^Discard$/);
    await page.waitForSelector("text=Discarded.");
    await press(/^Dry run$/);
    await page.waitForSelector("text=2 dead letters would be sent again");
    await press(/^Redrive all/);
    await press(/^Redrive 2$/);
    await page.waitForSelector("text=2 dead letters sent again");
    await page.waitForSelector("text=No dead letter matches");
    expect(complaints).toEqual([]);
  },
);

test(
  "commands are searched, and the queue of a unit says why its head does not move",
  { timeout: TEST_MS },
  async (t) => {
    const bridge = await startBridge({ worker: false });
    for (const n of [1, 2])
      await bridge.post("/units/status", { unit_id: "<i>M1", incident_id: `I${n}`, status: "enroute" });
    const { page, complaints, open } = await openAdmin(bridge, "dispatcher", t.skip);
    await open("Commands");
    await page.fill("input[name=incident]", "I2");
    await page.selectOption("select[name=state]", "queued");
    await page.click("button:text-is('Search')");
    await page.waitForSelector("tbody tr");
    expect(await page.locator("tbody tr").count()).toBe(1);
    await page.click("td >> text=unit <i>M1");
    await page.waitForSelector("text=2 commands waiting. No worker is running.");
    expect(complaints).toEqual([]);
  },
);

test(
  "a dead letter that holds its place is named with what waits, and redriven in it",
  { timeout: TEST_MS },
  async (t) => {
    const cad = { character: "modern", switches: { reject: { next: 1 } } } as const;
    const bridge = await startBridge({ cad, worker: { HOLD: "units/status" } });
    const { command_id: held } = await bridge.deliver("/units/status", { unit_id: "<b>M1", status: "enroute" });
    const { body } = await bridge.post("/units/status", { unit_id: "<b>M1", status: "onscene" });
    const { page, complaints, names } = await openAdmin(bridge, "admin", t.skip);
    await names("dead-letter-held");
    await page.waitForSelector("#held:has-text('1 dead letter held in place, 1 command waiting behind.')");
    await page.click("[aria-label='What is held'] a");
    await page.waitForSelector(`text=The dead letter ${held} (rejected) holds its place`);
    await page.click("tbody tr:first-child a");
    await page.waitForSelector("text=1 command waits behind it until it is redriven or discarded.");
    await page.click("text=redriven or discarded");
    await page.waitForSelector("tbody .tag:text-is('holds its place')");
    await page.click("button[aria-label^='Redrive']");
    await page.waitForSelector("dialog[open] >> text=in its place: what waits behind it follows");
    await page.click("dialog button:text-is('Redrive')");
    await page.waitForSelector("text=Sent again as");
    expect(await bridge.settled(body["command_id"])).toMatchObject({ status: "confirmed" });
    expect(complaints).toEqual([]);
  },
);

test(
  "an event appears as it comes, its destination is tested and paused, and its incident has a timeline",
  { timeout: TEST_MS },
  async (t) => {
    const { bridge, receivers } = await withDestinations(["board"], [{ to: "board", events: ["unit:*"] }]);
    await bridge.deliver("/units/status", { unit_id: "<b>M1", incident_id: "I1", status: "onscene" });
    const { page, complaints, open } = await openAdmin(bridge, "admin", t.skip);
    await open("Events");
    await page.waitForSelector("text=Live: new events");
    await page.waitForSelector("tbody >> text=unit <b>M1");
    bridge.cad.broadcast("unit:status:updated", { unitId: "M7", status: "hospital" });
    await page.waitForSelector("tbody tr:first-child >> text=unit M7");
    expect(await page.textContent("main")).not.toContain("hospital");
    await page.click("tbody tr:first-child a");
    await page.waitForSelector("tbody >> text=delivered");

    await open("Destinations");
    await page.click("button:text-is('Test event')");
    await page.waitForSelector("text=board: delivered, it answered 204");
    expect(receivers.board.received.at(-1)).toMatchObject({ type: "bridge:test" });
    const before = receivers.board.received.length;
    await page.click("button:text-is('Replay')");
    await page.keyboard.type(new Date(Date.now() - 600_000).toISOString());
    await page.fill("input[name=filter]", 'unit == "M7"');
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog >> text=1 event would be sent again: 1 unit:status:updated");
    expect(receivers.board.received).toHaveLength(before);
    await page.click("dialog button:text-is('Send 1 event again')");
    await page.waitForSelector("[data-replay=done] >> text=1 of 1 event in the outbox");
    await page.click("summary:has-text('recent attempt')");
    await page.waitForSelector(".attempts tbody >> text=bridge:test");
    expect(receivers.board.received.slice(before)).toMatchObject([{ subject: "unit:M7" }]);
    await page.click("button:text-is('Pause')");
    await page.click("dialog button:text-is('Pause')");
    await page.waitForSelector("[data-state=disabled]");

    await open("Units and incidents");
    await page.click("tbody >> text=I1");
    await page.waitForSelector("h2:has-text('Timeline of incident I1')");
    await page.waitForSelector("tbody >> text=demo-admin");
    const download = page.waitForEvent("download");
    await page.click("text=Save as CSV");
    expect((await download).suggestedFilename()).toBe("incident-I1.csv");

    await open("Audit");
    await page.waitForSelector("tbody >> text=POST /destinations/{id}/pause");
    expect(await page.locator("main b").count()).toBe(0);
    expect(complaints).toEqual([]);
  },
);
