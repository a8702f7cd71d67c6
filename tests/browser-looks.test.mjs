// The page in all its states on a desktop, and how it looks where one points, and in forced colours.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, faint } from "./harness/audit.mjs";
import { screenshot } from "./harness/browser.mjs";
import { looksOn } from "./harness/looks.mjs";
import { message, say } from "./harness/page.mjs";
import { DEVICES, ELSEWHERE, TALKING, setUp, talk } from "./harness/states.mjs";

looksOn("desktop", { ...TALKING, ...ELSEWHERE });

describe("on a desktop as well", () => {
  let given;
  before(async () => void (given = await setUp()));
  after(() => given.close());

  test("what is pointed at stands out as well, and the way out of a room does not cover the count", async (t) => {
    const { page } = await talk(t, { ...DEVICES.desktop, ...given });
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const buttons = await page.locator("button:visible:not(:disabled, .skip), .message:visible").all();
      for (const button of buttons) {
        await button.hover();
        assert.deepEqual(await faint(page), [], colorScheme);
      }
      for (const room of await page.getByTestId("room").filter({ has: page.locator(".leave") }).all()) {
        await room.hover();
        const [leave, count] = [room.locator(".leave"), room.locator(".people")];
        assert.equal(await leave.evaluate((button) => getComputedStyle(button).opacity), "1");
        assert.equal(await count.isVisible(), false);
      }
      await screenshot(page, `hovered-1280-${colorScheme}`);
    }
  });

  test("in forced colours, what a background said elsewhere is a border, or a colour of the system", async (t) => {
    const { page } = await talk(t, { ...DEVICES.desktop, ...given });
    await say(page, "Mine");
    await message(page, "Mine").waitFor();
    await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
    await screenshot(page, "forced-colours-1280");
    const style = (locator, property) => locator.first().evaluate((element, property) => getComputedStyle(element)[property], property);
    for (const part of [".bubble:not([data-large=true])", ".avatar", ".line", ".primary", ".mention", ".areas"]) {
      assert.equal(await style(page.locator(part), "borderTopStyle"), "solid", part);
    }
    const mine = await style(message(page, "Mine").locator(".bubble"), "borderTopWidth");
    assert.notEqual(mine, await style(message(page, "Good morning.").locator(".bubble"), "borderTopWidth"));
    const pressed = page.locator(".areas [aria-pressed=true]");
    assert.notEqual(await style(pressed, "backgroundColor"), await style(page.locator(".areas [aria-pressed=false]"), "backgroundColor"));
    const current = page.locator("nav.rooms [data-current=true] > button").first();
    assert.notEqual(await style(current, "backgroundColor"), await style(page.locator("nav.rooms [data-current=false] > button"), "backgroundColor"));
    assert.notEqual(await style(page.locator(".lamp"), "backgroundColor"), await style(page.locator(".line"), "backgroundColor"));
    assert.deepEqual(await axe(page), []);
  });
});
