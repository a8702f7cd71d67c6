// What `tests/browser-looks*.test.mjs` have in common: the page in several states on one device, light and dark.
// axe-core finds nothing, every text stands out, nothing is too small for a finger, nothing wraps. What it looks like
// is kept in tests/artifacts.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, faint, small, wrapped } from "./audit.mjs";
import { screenshot } from "./browser.mjs";
import { DEVICES, setUp } from "./states.mjs";

/** A test for each state. @param {keyof typeof DEVICES} name @param {Record<string, Function>} states */
export function looksOn(name, states) {
  describe(`on a ${name}`, () => {
    const device = DEVICES[name];
    let given;
    before(async () => void (given = await setUp()));
    after(() => given.close());

    for (const [state, prepare] of Object.entries(states)) {
      test(state, async (t) => look(await prepare(t, { ...device, ...given }), state, device));
    }
  });
}

async function look(page, state, { size, isPhone }) {
  const file = `${state.replaceAll(/[^a-z]+/g, "-")}-${size.width}`;
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await screenshot(page, `${file}-light`);
  assert.deepEqual(await axe(page), [], "axe-core, light");
  assert.deepEqual(await faint(page), [], "contrast, light");
  assert.deepEqual(await wrapped(page), []);
  if (isPhone) assert.deepEqual(await small(page), []);
  await page.emulateMedia({ colorScheme: "dark" });
  await screenshot(page, `${file}-dark`);
  // Nothing but the colours is different.
  assert.deepEqual(await axe(page, ["color-contrast"]), [], "axe-core, dark");
  assert.deepEqual(await faint(page), [], "contrast, dark");
}
