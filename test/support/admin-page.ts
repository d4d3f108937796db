import type { Page } from "playwright-core";
import { onTestFinished } from "vitest";
import { type Bridge, tokens } from "./bridge.ts";
import { sharedBrowser } from "./chromium.ts";

export interface AdminPage {
  page: Page;
  /** What the browser complained of: a violation of the policy, a script that failed. */
  complaints: string[];
  /** Goes to a view by its link, as somebody with a mouse does. */
  open(view: string): Promise<void>;
  /** The code of the problem in the headline; empty if all is well. */
  code(): Promise<string | null>;
  /** Waits until the headline names a problem, 5 s at most. */
  names(code: string): Promise<void>;
}

/** The admin page in a browser, signed in. The test is skipped, with the reason, where there is no browser. */
export async function openAdmin(
  bridge: Pick<Bridge, "url">,
  role: keyof typeof tokens,
  skip: (reason: string) => never,
): Promise<AdminPage> {
  const browser = await sharedBrowser(skip);
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // An answer that says no, or that health is bad, is no fault of the page.
    const answer = /^Failed to load resource: the server responded with a status of (404|503)/.test(message.text());
    if (message.type() === "error" && !answer) complaints.push(message.text());
  });
  await page.goto(`${bridge.url}/admin`);
  await page.fill("input[name=token]", tokens[role]);
  await page.keyboard.press("Enter");
  await page.waitForSelector("nav a");
  const code = () => page.getAttribute(".state", "data-code");
  return {
    page,
    complaints,
    code,
    open: async (view) => await page.click(`nav a:text-is("${view}")`),
    names: async (named) => void (await page.waitForSelector(`[data-code="${named}"]`, { timeout: 5000 })),
  };
}
