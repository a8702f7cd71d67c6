// The states that the page can be in, and the way into each: a browser, a server and a device come in, and out comes
// the page as somebody sees it then.

import { DESKTOP, NARROW, PHONE, openBrowser } from "./browser.mjs";
import { ask, connected, newRoom } from "./clients.mjs";
import { message, offline, say, visit } from "./page.mjs";
import { startUp } from "./parlour.mjs";
import { seat } from "./stage.mjs";
import { startWire } from "./wire.mjs";

const touch = { hasTouch: true, isMobile: true };

/** What the page is looked at with. */
export const DEVICES = {
  desktop: { size: DESKTOP, isPhone: false, options: { viewport: DESKTOP } },
  phone: { size: PHONE, isPhone: true, options: { viewport: PHONE, ...touch } },
  "narrow phone": { size: NARROW, isPhone: true, options: { viewport: NARROW, ...touch } },
};

/** Within a conversation. */
export const TALKING = {
  async conversation(t, device) {
    const { page } = await talk(t, device);
    await page.getByRole("button", { name: /Show all/ }).scrollIntoViewIfNeeded();
    return page;
  },

  async "the end of a conversation, one's own words in it"(t, device) {
    const { page } = await talk(t, device);
    await say(page, "See www.example.org and `code`, @Ada:\n```sh\ncargo xtask up\n```");
    await message(page, "See www").locator(".state", { hasText: "sent" }).waitFor();
    return page;
  },

  async "a long message, opened"(t, device) {
    const { page } = await talk(t, device);
    await page.getByRole("button", { name: /Show all/ }).click();
    await page.getByRole("button", { name: "Show less" }).scrollIntoViewIfNeeded();
    return page;
  },

  async "scrolled up, with news"(t, device) {
    const { page, people, room } = await talk(t, device);
    await scrollUp(page);
    for (let n = 1; n <= 3; n++) await ask(people.ada, "message", { room, text: `News ${n}` });
    await page.getByTestId("to-end").filter({ hasText: "3 new messages" }).waitFor();
    return page;
  },

  async "scrolled up, without"(t, device) {
    const { page } = await talk(t, device);
    await scrollUp(page);
    await page.getByRole("button", { name: "To the newest message" }).waitFor();
    return page;
  },

  async "new since, and unread rooms"(t, device) {
    const { server } = device;
    const { page, people, room } = await talk(t, device);
    const other = newRoom("other");
    await page.goto(`${server.url}/#${other}`);
    await page.getByRole("heading", { level: 1, name: other }).waitFor();
    await ask(people.ben, "message", { room, text: "@Robin, where have you gone?" });
    await page.waitForFunction(() => document.title.startsWith("(1) "));
    await page.goto(`${server.url}/#${room}`);
    await page.getByTestId("new-since").waitFor();
    await ask(people.ada, "join", other);
    await ask(people.ada, "message", { room: other, text: "@Robin is gone again." });
    await page.waitForFunction(() => document.title.startsWith("(1) "));
    return page;
  },

  async "somebody types, and one mentions somebody"(t, device) {
    const { page, people, room } = await talk(t, device);
    await page.getByTestId("composer").pressSequentially("Ask @");
    await page.getByTestId("offered").waitFor();
    await ask(people.long, "typing", { room, typing: true });
    await page.getByTestId("typing").filter({ hasText: "typing" }).waitFor();
    return page;
  },

  async "too much is written"(t, device) {
    const { page } = await talk(t, device);
    await page.getByTestId("composer").fill("word ".repeat(3400));
    await page.locator(".left[data-over=true]").waitFor();
    return page;
  },
};

/** Before, beside and without one. */
export const ELSEWHERE = {
  async "an empty room"(t, device) {
    const { browser, server } = device;
    const { page } = await visit(t, browser, `${server.url}/#${newRoom("a-room-with-a-name-that-is-rather-long-for-a-phone")}`, device.options);
    await page.getByText("Nobody has said anything").waitFor();
    return page;
  },

  async "a room one cannot enter"(t, device) {
    const { browser, server } = device;
    const { page } = await visit(t, browser, `${server.url}/#${"x".repeat(65)}`, device.options);
    await page.getByText("You cannot enter").waitFor();
    return page;
  },

  async connecting(t, device) {
    const { browser, server } = device;
    const prepare = (page) => page.route("**/socket.io/?**", (route) => route.abort());
    const { page } = await visit(t, browser, `${server.url}/#${newRoom()}`, { ...device.options, isOnline: false, prepare });
    await page.getByTestId("status").filter({ hasText: "Connecting" }).waitFor();
    return page;
  },

  async "reconnecting, with a message on its way"(t, device) {
    const { server } = device;
    const wire = await startWire(t, server.url);
    const { page } = await talk(t, device, wire.url);
    wire.open = false;
    wire.tear();
    await offline(page);
    await say(page, "On its way, `code` and www.example.org too");
    await page.getByTestId("unknown-people").waitFor({ state: "attached" });
    await message(page, "On its way").locator(".state", { hasText: "sending" }).waitFor();
    return page;
  },

  async "offline"(t, device) {
    const { page, context } = await talk(t, device);
    await context.setOffline(true);
    await page.getByTestId("status").filter({ hasText: "Offline" }).waitFor();
    return page;
  },

  async "a message that the server would not take"(t, device) {
    const { browser, server } = device;
    const room = newRoom();
    // As an earlier version of the page may have left it behind.
    const outbox = [{ id: `too-long-${room}`, room, from: { id: "", name: "Robin" }, text: "x".repeat(17_000), at: Date.now() }];
    const unsent = JSON.stringify({ drafts: {}, outboxes: { [`lobby/${room}`]: outbox } });
    const prepare = (page) => page.addInitScript((kept) => sessionStorage.setItem("parlour.unsent", kept), unsent);
    const { page } = await visit(t, browser, `${server.url}/#${room}`, { ...device.options, prepare });
    await page.getByText("Not sent:").waitFor();
    await page.getByText("Not sent:").scrollIntoViewIfNeeded();
    return page;
  },

  async "signing in, refused"(t, device) {
    const { browser, server } = device;
    const { page } = await visit(t, browser, server.url, device.options);
    await openRooms(page, device);
    await page.getByTestId("area-members").click();
    await page.getByTestId("token").fill("not a token");
    await page.getByTestId("sign-in").click();
    await page.getByTestId("sign-in-problem").filter({ hasText: /\w/ }).waitFor();
    return page;
  },

  async "among members, with an announcement and a shout"(t, device) {
    const { browser, server } = device;
    const { page } = await visit(t, browser, server.url, device.options);
    await openRooms(page, device);
    await page.getByTestId("area-members").click();
    await page.getByTestId("token").fill(await server.token({ sub: "ada", name: "Ada Lovelace" }));
    await page.getByTestId("sign-in").click();
    await page.getByTestId("token").waitFor({ state: "detached" });
    await page.getByTestId("to").selectOption("shout");
    await say(page, "Has anybody seen my hat?");
    await page.getByTestId("notice").filter({ hasText: "my hat" }).waitFor();
    await page.getByTestId("to").selectOption("announce");
    await page.getByTestId("composer").fill("Cake in the hall");
    await page.getByTestId("send").click();
    await page.getByTestId("notice").filter({ hasText: "Cake" }).waitFor();
    await page.getByTestId("to").selectOption("announce");
    return page;
  },

  async "a crowd"(t, device) {
    const { browser, server } = device;
    const room = newRoom("crowd");
    const crowd = await Promise.all(Array.from({ length: 105 }, (_, n) => connected(t, server.url, { auth: { name: `Fan ${n}` } })));
    await Promise.all(crowd.map((fan) => ask(fan, "join", room)));
    const { page } = await visit(t, browser, `${server.url}/#${room}`, device.options);
    if (device.isPhone) await page.getByRole("button", { name: /^People/ }).click();
    await page.getByTestId("more-members").scrollIntoViewIfNeeded();
    return page;
  },

  async "the rooms in their drawer"(t, device) {
    const { page } = await talk(t, device);
    await openRooms(page, device);
    return page;
  },

  async "the people in their drawer"(t, device) {
    const { browser, server } = device;
    const { page } = await talk(t, device);
    if (device.isPhone) await page.getByRole("button", { name: /^People/ }).click();
    return page;
  },
};

/** A server, a browser, and in a room people who have said much: `stage`, for all states of a test file. */
export async function setUp() {
  const [server, browser] = await Promise.all([startUp(), openBrowser()]);
  const closers = [];
  const room = newRoom();
  const people = await seat({ after: (close) => closers.push(close) }, server.url, room);
  const close = async () => {
    for (const close of closers) close();
    await Promise.all([server.stop(), browser.close()]);
  };
  return { server, browser, stage: { people, room }, close };
}

/** A visitor called Robin in the room where much was said. */
export async function talk(t, { browser, server, stage, options }, url = server.url) {
  const { room } = stage;
  const stored = { name: "Robin", key: `robin ${++visitors} with a long key`, places: place(room) };
  const prepare = (page) =>
    page.addInitScript((stored) => localStorage.getItem("parlour") ?? localStorage.setItem("parlour", stored), JSON.stringify(stored));
  const { page, context } = await visit(t, browser, `${url}/#${room}`, { ...options, prepare });
  await message(page, "One very long word").waitFor();
  return { page, context, ...stage };
}

let visitors = 0;

const place = (room) => ({ lobby: { rooms: ["general", room], last: room }, members: { rooms: ["general"], last: "general" } });

async function scrollUp(page) {
  await page.locator(".log").evaluate((log) => (log.scrollTop = 0));
  await page.getByTestId("to-end").waitFor();
}

async function openRooms(page, device) {
  if (device.isPhone) await page.getByRole("button", { name: /^Rooms/ }).click();
}
