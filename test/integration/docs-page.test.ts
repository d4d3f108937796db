import { expect, test } from "vitest";
import { startBridge, tokens } from "../support/bridge.ts";
import { openBrowser } from "../support/chromium.ts";

test("the token typed into /docs survives a reload, in this tab alone", { timeout: 90_000 }, async ({ skip }) => {
  const browser = await openBrowser(skip);
  const bridge = await startBridge({ worker: false });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${bridge.url}/docs`);
  await page.click("button.authorize");
  await page.fill(".modal-ux input", tokens.admin);
  await page.click(".modal-ux button.authorize");
  await page.waitForSelector(".modal-ux button:has-text('Logout')");
  await page.reload();
  await page.waitForSelector("button.authorize.locked");
  const stored = () => page.evaluate("[JSON.stringify(sessionStorage), JSON.stringify(localStorage)]");
  const [session, local] = (await stored()) as [string, string];
  expect(session).toContain(tokens.admin);
  expect(local).toBe("{}");

  await page.click("button.authorize");
  await page.click(".modal-ux button:has-text('Logout')");
  expect(((await stored()) as [string, string])[0]).toBe("{}");

  const other = await context.newPage();
  await other.goto(`${bridge.url}/docs`);
  await other.waitForSelector("button.authorize.unlocked");
});
