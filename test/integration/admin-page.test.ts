import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";
import { openBrowser } from "../support/chromium.ts";

type Role = keyof typeof tokens;

/** The admin page in a browser, signed in. Whatever the browser complains of fails the test that asks for `complaints`. */
async function openAdmin(bridge: Bridge, role: Role, skip: (reason: string) => never, more: object = {}) {
  const browser = await openBrowser(skip);
  const page = await (await browser.newContext(more)).newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // A 404 or a 503 that is an answer is no fault of the page.
    if (message.type() === "error" && !/status of (404|503)/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(`${bridge.url}/admin`);
  await page.fill("input[name=token]", tokens[role]);
  await page.keyboard.press("Enter");
  await page.waitForSelector("nav a");
  return { page, complaints };
}

const code = (page: Page) => page.getAttribute(".state", "data-code");

test("x", { timeout: 90_000 }, async ({ skip }) => {
  const bridge = await startBridge();
  const { page, complaints } = await openAdmin(bridge, "admin", skip);
  await page.waitForSelector(".state.healthy");
  expect(await code(page)).toBe("");
  expect(complaints).toEqual([]);
});
