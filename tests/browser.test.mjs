// The page, as people use it: two of them chat in a real Chromium, and what it looks like is kept
// in tests/artifacts.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DESKTOP, PHONE, openBrowser, screenshot } from "./harness/browser.mjs";
import { ask, connected, newRoom, next } from "./harness/clients.mjs";
import { freePort, newStateDir, startUp } from "./harness/parlour.mjs";
import { message, offline, online, rename, say, visit as open } from "./harness/page.mjs";
import { startWire } from "./harness/wire.mjs";

let server, browser;
before(async () => void ([server, browser] = await Promise.all([startUp(), openBrowser()])));
after(() => Promise.all([server.stop(), browser.close()]));

const visit = (t, { url = server.url, ...options } = {}) => open(t, browser, url, options);

describe("the page", () => {
  test("two pages chat; one reloads and sees the history", async (t) => {
    const [ada, ben] = [await visit(t), await visit(t)];
    await rename(ada.page, "Ada");
    await rename(ben.page, "Ben");

    await say(ada.page, "Good morning, Ben!");
    await message(ben.page, "Good morning, Ben!").waitFor();
    await say(ben.page, "Good morning, Ada. Tea?");
    await message(ada.page, "Good morning, Ada. Tea?").waitFor();
    assert.match(await message(ben.page, "Good morning, Ben!").innerText(), /Ada/);

    await ben.page.reload();
    await online(ben.page);

    await message(ben.page, "Good morning, Ben!").waitFor();
    await message(ben.page, "Good morning, Ada. Tea?").waitFor();
    assert.equal(await message(ben.page, "Good morning, Ben!").count(), 1);
    await screenshot(ada.page, "chat-desktop");
    for (const { faults } of [ada, ben]) assert.deepEqual(faults, []);
  });

  test("on a phone one can read and write, and nothing is wider than the screen", async (t) => {
    const { page, faults } = await visit(t, { viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    await say(page, "From the tram");
    await message(page, "From the tram").waitFor();
    await say(page, `A long word: ${"Donaudampfschifffahrtsgesellschaft".repeat(8)}`);
    await message(page, "A long word").waitFor();

    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `the page is ${width} pixels wide`);
    assert.ok(await page.getByTestId("composer").isVisible());
    await screenshot(page, "chat-phone");
    assert.deepEqual(faults, []);
  });

  test("in the dark it is dark", async (t) => {
    const { page } = await visit(t, { colorScheme: "dark" });
    await screenshot(page, "chat-desktop-dark");
    const brightness = (where) =>
      where.evaluate(() => {
        const { backgroundColor } = getComputedStyle(document.body);
        const context = document.createElement("canvas").getContext("2d");
        context.fillStyle = backgroundColor;
        context.fillRect(0, 0, 1, 1);
        return context.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, value) => sum + value, 0);
      });
    const dark = await brightness(page);
    await page.emulateMedia({ colorScheme: "light" });
    assert.ok(dark < (await brightness(page)));
  });

  test("of a crowd it says how many they are, and shows the rest when asked", async (t) => {
    const room = newRoom("crowd");
    const crowd = await Promise.all(Array.from({ length: 120 }, (_, n) => connected(t, server.url, { auth: { name: `Fan ${n}` } })));
    await Promise.all(crowd.map((fan) => ask(fan, "join", room)));
    const { page, faults } = await visit(t, { url: `${server.url}/#${room}` });
    const people = page.locator(".side.people");
    await people.locator(".total", { hasText: /^121$/ }).waitFor();
    assert.equal(await people.getByTestId("member").count(), 101, "a page of a hundred, and oneself");
    await page.getByTestId("more-members").click();
    await page.getByTestId("more-members").waitFor({ state: "detached" });
    assert.equal(await people.getByTestId("member").count(), 121);
    crowd[7].disconnect();
    await people.locator(".total", { hasText: /^120$/ }).waitFor();
    assert.deepEqual(faults, []);
  });

  test("it works by keyboard alone: Enter sends", async (t) => {
    const { page } = await visit(t);
    await page.getByTestId("composer").focus();
    await page.keyboard.type("Without a mouse");
    await page.keyboard.press("Enter");
    await message(page, "Without a mouse").waitFor();
  });

  test("what somebody writes is text, whatever it looks like", async (t) => {
    const { page, faults } = await visit(t);
    const nasty = `<img src=x onerror="document.title='owned'"><b>bold</b>`;
    await say(page, nasty);
    await message(page, nasty).waitFor();
    assert.notEqual(await page.title(), "owned");
    assert.equal(await page.getByTestId("message").locator("img, b:text('bold')").count(), 0);
    assert.deepEqual(faults, []);
  });

  test("a program and a page can talk to each other", async (t) => {
    const { page } = await visit(t);
    await say(page, "Is this a person?");
    await message(page, "Is this a person?").waitFor();
    const program = await connected(t, server.url, { auth: { name: "Robot" } });
    const room = await page.getByRole("heading", { level: 1 }).innerText().then((name) => name.replace(/^#\s*/, ""));
    const { messages } = await ask(program, "join", room);
    assert.ok(messages.some(({ text }) => text === "Is this a person?"));

    await ask(program, "message", { room, text: "No, a program." });

    await message(page, "No, a program.").waitFor();
    assert.match(await message(page, "No, a program.").innerText(), /Robot/);
  });

  test("one sees who is there and who is typing", async (t) => {
    const { page } = await visit(t);
    const room = newRoom();
    const friend = await connected(t, server.url, { auth: { name: "Friend" } });
    await ask(friend, "join", room);
    await page.goto(`${server.url}/#${room}`);

    assert.equal((await next(friend, "joined")).room, room);
    const there = page.getByTestId("member").filter({ hasText: "Friend" });
    await there.waitFor();
    await ask(friend, "typing", { room, typing: true });
    await page.getByTestId("typing").filter({ hasText: "Friend is typing" }).waitFor();
    await page.getByTestId("composer").pressSequentially("So am I");
    assert.equal((await next(friend, "typing", ({ typing }) => typing)).room, room);
    friend.disconnect();
    await there.waitFor({ state: "detached" });
  });

  test("older messages load as one scrolls up, each once and in order", async (t) => {
    const COUNT = 180;
    const room = newRoom();
    const friend = await connected(t, server.url, { auth: { name: "Friend" } });
    await ask(friend, "join", room);
    for (let n = 0; n < COUNT; n++) friend.emit("message", { room, text: `line ${n} of many` });
    await next(friend, "message", ({ text }) => text === `line ${COUNT - 1} of many`);
    const { page } = await visit(t, { url: `${server.url}/#${room}` });
    await message(page, `line ${COUNT - 1} of many`).waitFor();
    assert.ok((await page.getByTestId("message").count()) < COUNT, "not all is loaded at once");

    const first = message(page, "line 0 of many");
    const log = page.getByRole("region", { name: `Messages in ${room}` });
    for (let page = 0; page < COUNT && !(await first.isVisible()); page++) {
      await log.evaluate((element) => new Promise((settled) => {
        element.scrollTop = 0;
        requestAnimationFrame(settled);
      }));
    }

    const texts = await page.getByTestId("message").allInnerTexts();
    const numbers = texts.map((text) => Number(/line (\d+) of many/.exec(text)?.[1]));
    assert.deepEqual(numbers, Array.from({ length: COUNT }, (_, n) => n));
  });

  test("a room is opened by its name, and listed", async (t) => {
    const { page } = await visit(t);
    const room = newRoom("our-own");
    await page.getByTestId("new-room").fill(room);
    await page.getByTestId("new-room").press("Enter");

    await page.getByTestId("room").filter({ hasText: room }).waitFor();
    await say(page, "First!");
    await message(page, "First!").waitFor();
    await page.getByTestId("room").filter({ hasText: "general" }).getByRole("button").first().click();
    await message(page, "First!").waitFor({ state: "detached" });
  });

  test("one signs in to /members with a token, and hears what is announced there", async (t) => {
    const { page } = await visit(t);
    const secretary = await connected(t, server.url, { namespace: "/members", auth: { token: await server.token({ sub: "sec", name: "Secretary" }) } });

    await page.getByTestId("area-members").click();
    await page.getByTestId("token").fill("not a token");
    await page.getByTestId("sign-in").click();
    await page.getByTestId("sign-in-problem").filter({ hasText: /\w/ }).waitFor();
    await page.getByTestId("token").fill(await server.token({ sub: "ada", name: "Ada Lovelace" }));
    await page.getByTestId("sign-in").click();

    await page.getByTestId("token").waitFor({ state: "detached" });
    await page.getByTestId("member").filter({ hasText: "Ada Lovelace" }).waitFor();
    await ask(secretary, "announce", "Cake in the hall");
    await page.getByTestId("notice").filter({ hasText: "Cake in the hall" }).waitFor();
    await say(page, "On my way");
    await message(page, "On my way").waitFor();
    await screenshot(page, "members-desktop");
  });

  test("who is in /members when the token ends is asked for another one", async (t) => {
    const { page } = await visit(t);
    await page.getByTestId("area-members").click();
    await page.getByTestId("token").fill(await server.token({ sub: "ada", name: "Ada Lovelace", ttl: 5 }));
    await page.getByTestId("sign-in").click();
    await page.getByTestId("member").filter({ hasText: "Ada Lovelace" }).waitFor();

    await page.getByTestId("sign-in-problem").filter({ hasText: "expired" }).waitFor();
    await page.getByTestId("token").fill(await server.token({ sub: "ada", name: "Ada Lovelace" }));
    await page.getByTestId("sign-in").click();
    await page.getByTestId("token").waitFor({ state: "detached" });
    await page.getByTestId("member").filter({ hasText: "Ada Lovelace" }).waitFor();
  });

  test("the page shows that the line is broken, sends what was written meanwhile when it is back, and shows nothing twice", async (t) => {
    const stateDir = await newStateDir();
    const listen = `127.0.0.1:${await freePort()}`;
    const first = await startUp({ stateDir, listen });
    t.after(() => first.kill9());
    const { page } = await visit(t, { url: first.url });
    await say(page, "Before");
    await message(page, "Before").waitFor();

    await first.kill9();
    await offline(page);
    await say(page, "Meanwhile");
    await screenshot(page, "chat-disconnected");
    const second = await startUp({ stateDir, listen });
    t.after(() => second.kill9());

    await online(page);
    await say(page, "After");
    await message(page, "After").waitFor();
    const texts = (await page.getByTestId("message").allInnerTexts()).map((text) => /Before|Meanwhile|After/.exec(text)?.[0]);
    assert.deepEqual(texts, ["Before", "Meanwhile", "After"]);
  });

  test("who was away while much was said misses nothing of it, and is in the room as before", async (t) => {
    const COUNT = 80; // more than joining the room brings
    const room = newRoom();
    const wire = await startWire(t, server.url);
    const { page } = await visit(t, { url: `${wire.url}/#${encodeURIComponent(room)}` });
    const friend = await connected(t, server.url, { auth: { name: "Friend" } });
    await ask(friend, "join", room);
    await say(page, "number 0");
    await message(page, "number 0").waitFor();

    wire.open = false;
    wire.tear();
    await offline(page);
    for (let n = 1; n <= COUNT; n++) await ask(friend, "message", { room, text: `number ${n}` });
    wire.open = true;

    await message(page, `number ${COUNT}`).waitFor();
    const texts = (await page.getByTestId("message").allInnerTexts()).map((text) => /number \d+/.exec(text)?.[0]);
    assert.deepEqual(texts, Array.from({ length: COUNT + 1 }, (_, n) => `number ${n}`));
    await say(page, "and on");
    await next(friend, "message", ({ text }) => text === "and on");
  });
});

test("Socket.IO's client as the server serves it works in a page", async (t) => {
  const { page } = await visit(t);
  const room = newRoom();
  const friend = await connected(t, server.url);
  await ask(friend, "join", room);
  await page.addScriptTag({ url: "/socket.io/socket.io.js" });

  const answer = await page.evaluate(async (room) => {
    // @ts-ignore the script defines it
    const socket = io({ forceNew: true });
    await socket.emitWithAck("join", room);
    return socket.emitWithAck("message", { room, text: "from five lines of one's own" });
  }, room);

  assert.equal((await next(friend, "message")).id, answer.id);
});
