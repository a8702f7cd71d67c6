// A real headless Chromium, the distribution's own, driven by playwright-core.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { ARTIFACTS } from "./parlour.mjs";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What the page is looked at with: width and height in CSS pixels. */
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** A browser with a profile of its own. @param {import("playwright-core").ViewportSize} viewport */
export async function openBrowser(viewport = DESKTOP, options = {}) {
  const executablePath = PLACES.find((path) => path && existsSync(path));
  if (!executablePath) {
    throw new Error(
      "There is no Chromium, and the page must be tested in one: install it (Debian: `apt-get install chromium`), or name it in CHROMIUM",
    );
  }
  const profile = await mkdtemp(join(tmpdir(), "parlour-chromium-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS, viewport, ...options });
  return Object.assign(context, {
    async end() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  });
}

/** Keeps what the page looks like as a test artifact. @param {import("playwright-core").Page} page */
export async function screenshot(page, name) {
  await mkdir(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
}
