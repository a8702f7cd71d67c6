// A real headless Chromium, the distribution's own, driven by playwright-core.

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
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
export const NARROW = { width: 320, height: 568 };

/** A browser without a past: playwright gives it an empty profile and removes that afterwards. */
export async function openBrowser() {
  const executablePath = PLACES.find((path) => path && existsSync(path));
  if (!executablePath) {
    throw new Error(
      "There is no Chromium, and the page must be tested in one: install it (Debian: `apt-get install chromium`), or name it in CHROMIUM",
    );
  }
  return chromium.launch({ executablePath, args: FLAGS });
}

/** Keeps what the page looks like as a test artifact. @param {import("playwright-core").Page} page */
export async function screenshot(page, name) {
  await mkdir(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
}
