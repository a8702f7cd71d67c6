// People on the page: each has a profile of their own in the browser, and does what people do there.

import { DESKTOP } from "./browser.mjs";

/** How long the page may take for anything, milliseconds. */
export const PATIENCE = 20_000;

/**
 * Opens the page for somebody, and waits until it is connected. `faults` are what the console and uncaught errors
 * complained of.
 * @param {import("node:test").TestContext} t
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {{isOnline?: boolean, prepare?: (page: import("playwright-core").Page) => Promise<unknown>} & import("playwright-core").BrowserContextOptions} options
 */
export async function visit(t, browser, url, { isOnline = true, prepare, viewport = DESKTOP, ...options } = {}) {
  const context = await browser.newContext({ viewport, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await prepare?.(page);
  await page.goto(url);
  if (isOnline) await online(page);
  return { page, context, faults };
}

export const online = (page) => status(page, /^\s*connected/i);

export const offline = (page) => page.getByTestId("status").filter({ hasNotText: /^\s*connected/i }).first().waitFor();

const status = (page, hasText) => page.getByTestId("status").filter({ hasText }).first().waitFor();

export const message = (page, text) => page.getByTestId("message").filter({ hasText: text });

export async function say(page, text) {
  await page.getByTestId("composer").fill(text);
  await page.getByTestId("send").click();
}

export async function rename(page, name) {
  const field = page.getByTestId("name");
  await field.fill(name);
  await field.press("Enter");
}
