// What the page keeps and admits: nothing written is lost by a reload, nobody is shown as present without a
// connection, and the keys and notifications are those of the device.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PHONE, openBrowser } from "./harness/browser.mjs";
import { ask, connected, newRoom, next } from "./harness/clients.mjs";
import { message, offline, online, rename, say, visit as open } from "./harness/page.mjs";
import { startUp } from "./harness/parlour.mjs";
import { startWire } from "./harness/wire.mjs";

let server, browser;
before(async () => void ([server, browser] = await Promise.all([startUp(), openBrowser()])));
after(() => Promise.all([server.stop(), browser.close()]));

async function enter(t, room, name = "Friend") {
  const friend = await connected(t, server.url, { auth: { name } });
  await ask(friend, "join", room);
  return friend;
}

const visit = (t, room, { url = server.url, ...options } = {}) => open(t, browser, `${url}/#${room}`, options);

test("a reload keeps the draft of each room", async (t) => {
  const [one, two] = [newRoom(), newRoom()];
  const { page } = await visit(t, one);
  const box = page.getByTestId("composer");
  await box.fill("for the first");
  await page.goto(`${server.url}/#${two}`);
  await page.getByRole("heading", { level: 1, name: two }).waitFor();
  assert.equal(await box.inputValue(), "");
  await box.fill("for the second");
  await page.reload();
  await online(page);
  assert.equal(await box.inputValue(), "for the second");
  await page.goto(`${server.url}/#${one}`);
  await page.getByRole("heading", { level: 1, name: one }).waitFor();
  assert.equal(await box.inputValue(), "for the first");
  await page.getByTestId("send").click();
  await message(page, "for the first").waitFor();
  await page.reload();
  await online(page);
  assert.equal(await box.inputValue(), "");
});

test("a message that is still being sent outlives a reload, and arrives once", async (t) => {
  const room = newRoom();
  const friend = await enter(t, room);
  const wire = await startWire(t, server.url);
  const { page } = await visit(t, room, { url: wire.url });
  await page.getByTestId("member").filter({ hasText: "Friend" }).waitFor();
  wire.mute(); // What the page sends from now on arrives nowhere, and the page does not know.
  await say(page, "never give up");
  await message(page, "never give up").locator(".state", { hasText: "sending" }).waitFor();
  await page.route("**/socket.io/?**", (route) => route.abort());
  wire.tear();
  await page.reload();
  await message(page, "never give up").locator(".state", { hasText: "sending" }).waitFor();
  await page.unroute("**/socket.io/?**");
  await message(page, "never give up").locator(".state", { hasText: "sent" }).waitFor();
  assert.equal((await next(friend, "message")).text, "never give up");
  assert.equal(await message(page, "never give up").count(), 1);
  await page.reload();
  await message(page, "never give up").waitFor();
  await say(page, "the end");
  assert.equal((await next(friend, "message")).text, "the end", "nothing was sent again");
});

test("one that had arrived when the page was reloaded is not shown or sent twice", async (t) => {
  const room = newRoom();
  const friend = await enter(t, room);
  const { page } = await visit(t, room);
  // As if the page had ended before the answer came.
  await page.addInitScript((room) => {
    if (sessionStorage.getItem("parlour.unsent") || !localStorage.getItem("arrived")) return;
    sessionStorage.setItem("parlour.unsent", localStorage.getItem("arrived"));
  }, room);
  await say(page, "arrived");
  const { id, from, at, text } = await next(friend, "message");
  const outbox = [{ id, room, from, text, at }];
  await page.evaluate((kept) => (localStorage.setItem("arrived", kept), sessionStorage.clear()), JSON.stringify({ drafts: {}, outboxes: { [`lobby/${room}`]: outbox } }));
  await page.reload();
  await message(page, "arrived").locator(".state", { hasText: "sent" }).waitFor();
  assert.equal(await message(page, "arrived").count(), 1);
  await say(page, "the end");
  assert.equal((await next(friend, "message")).text, "the end");
});

test("what one member wrote and did not send is not sent by the next who signs in", async (t) => {
  const room = newRoom();
  const { page } = await open(t, browser, `${server.url}/#members/${room}`, {
    prepare: async (page) => {
      const token = await server.token({ sub: "ada", name: "Ada" });
      await page.addInitScript((token) => sessionStorage.getItem("parlour.token") ?? sessionStorage.setItem("parlour.token", token), token);
    },
  });
  await page.getByTestId("member").filter({ hasText: "Ada" }).waitFor();
  await page.getByTestId("composer").fill("Ada's secret");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByTestId("area-members").click();
  await page.getByTestId("token").fill(await server.token({ sub: "ben", name: "Ben" }));
  await page.getByTestId("sign-in").click();
  await page.getByTestId("member").filter({ hasText: "Ben" }).waitFor();
  assert.equal(await page.getByTestId("composer").inputValue(), "");
  assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage }).includes("secret")), false);
});

test("nobody is shown as present while there is no connection, and all are again after it", async (t) => {
  const room = newRoom();
  await enter(t, room);
  const wire = await startWire(t, server.url);
  const { page } = await visit(t, room, { url: wire.url });
  const friend = page.getByTestId("member").filter({ hasText: "Friend" });
  await friend.waitFor();
  wire.open = false;
  wire.tear();
  await offline(page);
  assert.equal(await page.getByTestId("member").count(), 0);
  assert.equal(await page.locator("nav.rooms .people").count(), 0);
  assert.doesNotMatch(await page.locator(".head").innerText(), /here/);
  wire.open = true;
  await friend.waitFor();
  assert.match(await page.locator(".head").innerText(), /2 people here/);
});

test("on a phone Enter begins a line, and the button sends", async (t) => {
  const room = newRoom();
  const friend = await enter(t, room);
  const { page } = await visit(t, room, { viewport: PHONE, hasTouch: true, isMobile: true });
  const box = page.getByTestId("composer");
  await box.tap();
  await page.keyboard.type("one");
  await page.keyboard.press("Enter");
  await page.keyboard.type("two");
  assert.equal(await box.inputValue(), "one\ntwo");
  assert.equal(await box.getAttribute("enterkeyhint"), "enter");
  await page.getByTestId("send").tap();
  assert.equal((await next(friend, "message")).text, "one\ntwo");
});

test("at a desk Shift+Enter begins a line, and Enter sends", async (t) => {
  const room = newRoom();
  const friend = await enter(t, room);
  const { page } = await visit(t, room);
  await page.getByTestId("composer").focus();
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  assert.equal((await next(friend, "message")).text, "one\ntwo");
});

test("notifications come when they are wanted and permitted, and only while nobody looks", async (t) => {
  const room = newRoom();
  const friend = await enter(t, room);
  const { page, context } = await visit(t, room, {
    // Those that the browser really shows.
    prepare: (page) => page.addInitScript(() => {
      const shown = (window.shown = []);
      window.Notification = class extends Notification {
        constructor(title, options) {
          super(title, options);
          this.addEventListener("show", () => shown.push([title, options.body]));
        }
      };
    }),
  });
  await context.grantPermissions(["notifications"], { origin: new URL(server.url).origin });
  await page.reload();
  await online(page);
  const shown = () => page.evaluate(() => window.shown);

  const bell = page.getByTestId("bell");
  assert.equal(await bell.getAttribute("aria-pressed"), "false", "not before one wants them");
  await bell.click();
  assert.equal(await bell.getAttribute("aria-pressed"), "true");
  await ask(friend, "message", { room, text: "while you look" });
  await message(page, "while you look").waitFor();
  await hide(page);
  await ask(friend, "message", { room, text: "while you do not" });
  await page.waitForFunction(() => window.shown.length > 0);
  assert.deepEqual(await shown(), [[`Friend in #${room}`, "while you do not"]]);
});

test("who told the browser that it may not notify is told where to change that", async (t) => {
  const { page, context } = await visit(t, newRoom());
  await context.grantPermissions([], { origin: new URL(server.url).origin });
  await page.reload();
  await online(page);
  const bell = page.getByTestId("bell");
  assert.equal(await bell.isDisabled(), true);
  assert.match(await bell.getAttribute("title") ?? "", /blocked in the browser/);
});

/** As if the window were minimised. The browser that a test drives shows all its pages, whatever is done to them. */
function hide(page) {
  return page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
}
