// How messages are shown and found: directions, code, links, mentions, very long ones, times, what is new, who is who.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "./harness/browser.mjs";
import { ask, connected, newRoom, next } from "./harness/clients.mjs";
import { message, rename, say, visit as open } from "./harness/page.mjs";
import { startUp } from "./harness/parlour.mjs";
import { CODE, HEBREW, LONG } from "./harness/stage.mjs";

let server, browser;
before(async () => void ([server, browser] = await Promise.all([startUp(), openBrowser()])));
after(() => Promise.all([server.stop(), browser.close()]));

/** The page in a room of its own, and a friend there. */
async function visit(t, { room = newRoom(), friend: name = "Friend", ...options } = {}) {
  const friend = await connected(t, server.url, { auth: { name, key: `a key that only ${name} has` } });
  await ask(friend, "join", room);
  const page = await open(t, browser, `${server.url}/#${room}`, options);
  await page.page.getByTestId("member").filter({ hasText: "you" }).waitFor();
  return { ...page, friend, room, tell: (text) => ask(friend, "message", { room, text }) };
}

describe("what is written", () => {
  test("from right to left, and each paragraph in its own direction", async (t) => {
    const { page, tell } = await visit(t, { friend: "נועה" });
    await tell(`${HEBREW}\nand in English`);
    const bubble = message(page, "שלום").locator(".bubble");
    assert.equal(await bubble.evaluate((element) => getComputedStyle(element).direction), "rtl");
    /** Whether the line that a text is on is at the right end of the bubble. */
    const isRight = (text) => bubble.evaluate((element, text) => {
      const node = [...element.childNodes].find(({ data }) => data?.includes(text));
      const range = document.createRange();
      range.setStart(node, node.data.indexOf(text));
      range.setEnd(node, node.data.indexOf(text) + text.length);
      const box = element.getBoundingClientRect();
      const { left, right } = range.getBoundingClientRect();
      return box.right - right < left - box.left;
    }, text);
    assert.equal(await isRight("שלום"), true);
    assert.equal(await isRight("and in English"), false);
    assert.equal(await message(page, "שלום").locator(".from bdi").innerText(), "נועה");

    const direction = (testId) => page.getByTestId(testId).evaluate((field) => getComputedStyle(field).direction);
    await page.getByTestId("composer").fill("English");
    assert.equal(await direction("composer"), "ltr");
    await page.getByTestId("composer").fill("עברית");
    assert.equal(await direction("composer"), "rtl");
    await page.getByTestId("name").fill("רובין");
    assert.equal(await direction("name"), "rtl");
  });

  test("code in fences and within lines, and nothing in it is a link or a mention", async (t) => {
    const { page, tell } = await visit(t);
    await tell(CODE);
    const said = message(page, "Try this");
    assert.match(await said.locator("pre code").innerText(), /^ns\.on\("order", async \|socket.*\n    socket\.to/);
    assert.equal(await said.locator(".bubble > code").innerText(), "cargo xtask up");
    await tell("`https://example.org`");
    await message(page, "https://example.org").waitFor();
    assert.equal(await page.locator(".bubble a").count(), 0);
  });

  test("links, with their closing parenthesis; www. and e-mail addresses too", async (t) => {
    const { page, tell } = await visit(t);
    await tell("(see https://en.wikipedia.org/wiki/Parlour_(room)), www.example.org, or hall@example.org.");
    await message(page, "see").waitFor();
    const links = await page.locator(".bubble a").evaluateAll((links) => links.map((link) => [link.textContent, link.getAttribute("href"), link.getAttribute("rel")]));
    const rel = "noopener noreferrer nofollow";
    assert.deepEqual(links, [
      ["https://en.wikipedia.org/wiki/Parlour_(room)", "https://en.wikipedia.org/wiki/Parlour_(room)", rel],
      ["www.example.org", "https://www.example.org", rel],
      ["hall@example.org", "mailto:hall@example.org", rel],
    ]);
  });

  test("a very long message shows its beginning, and all of it when asked", async (t) => {
    const { page, tell } = await visit(t);
    await tell(LONG);
    const said = message(page, "1. A line");
    assert.doesNotMatch(await said.innerText(), /60\. A line/);
    await said.getByRole("button", { name: "Show all" }).click();
    assert.match(await said.innerText(), /60\. A line/);
    await said.getByRole("button", { name: "Show less" }).click();
    assert.doesNotMatch(await said.innerText(), /60\. A line/);
  });

  test("the time of every message is there when one points at it", async (t) => {
    const { page, tell } = await visit(t);
    for (const text of ["first", "second", "third"]) await tell(text);
    await message(page, "third").waitFor();
    const time = message(page, "second").locator(".aside time");
    assert.equal(await time.isVisible(), false);
    await message(page, "second").hover();
    assert.equal(await time.isVisible(), true);
    assert.match(await time.innerText(), /\d{1,2}:\d\d/);
  });
});

describe("mentions", () => {
  test("who is mentioned stands out, most of all oneself; another room's badge says it", async (t) => {
    const { page, tell, room } = await visit(t);
    await rename(page, "Robin Redbreast");
    await page.getByTestId("member").filter({ hasText: "Robin Redbreast" }).waitFor();
    await tell("@robin redbreast and @Friend and @Nobody");
    const marks = page.locator(".mention");
    await marks.first().waitFor();
    assert.deepEqual(await marks.evaluateAll((all) => all.map((mark) => [mark.textContent, mark.dataset.me])), [
      ["@robin redbreast", "true"],
      ["@Friend", "false"],
    ]);

    await page.goto(`${server.url}/#${newRoom()}`);
    await page.getByTestId("member").filter({ hasText: "you" }).waitFor();
    const badge = page.getByTestId("room").filter({ hasText: room }).locator(".count");
    await tell("not for anybody");
    await badge.filter({ hasText: "1 unread" }).waitFor();
    assert.doesNotMatch(await badge.innerText(), /@/);
    await tell("for @Robin Redbreast");
    await badge.filter({ hasText: /@ 2 unread/ }).waitFor();
  });

  test("an @ offers who is here; the keys choose", async (t) => {
    const { page, friend, room } = await visit(t, { friend: "Fay" });
    const second = await connected(t, server.url, { auth: { name: "Fred Astaire" } });
    await ask(second, "join", room);
    await page.getByTestId("member").filter({ hasText: "Fred Astaire" }).waitFor();
    const box = page.getByTestId("composer");
    await box.pressSequentially("Ask @f");
    assert.deepEqual(await page.getByRole("option").allInnerTexts().then((all) => all.map((text) => text.split("\n").at(-1))), ["Fay", "Fred Astaire"]);
    await box.press("ArrowDown");
    await box.press("Enter");
    assert.equal(await box.inputValue(), "Ask @Fred Astaire ");
    assert.equal(await page.getByTestId("offered").count(), 0);
    await box.press("Enter");
    assert.equal((await next(friend, "message")).text, "Ask @Fred Astaire");
    await box.pressSequentially("@fa");
    await page.getByRole("option", { name: "Fay" }).click();
    assert.equal(await box.inputValue(), "@Fay ");
    await box.pressSequentially("and @f");
    await box.press("Escape");
    assert.equal(await page.getByTestId("offered").count(), 0);
    assert.equal(await box.inputValue(), "@Fay and @f");
  });
});

describe("what is new", () => {
  test("a line stands above what was said while one looked elsewhere, until one answers", async (t) => {
    const { page, tell, room } = await visit(t);
    await tell("old");
    await message(page, "old").waitFor();
    await page.goto(`${server.url}/#${newRoom()}`);
    await page.getByTestId("member").filter({ hasText: "you" }).waitFor();
    await tell("new one");
    await page.getByTestId("room").filter({ hasText: room }).locator(".count").waitFor();
    await page.goto(`${server.url}/#${room}`);
    await page.getByTestId("new-since").waitFor();
    assert.match(await page.getByTestId("new-since").innerText(), /New since .*\d{1,2}:\d\d/);
    const order = await page.locator(".log ol > li:not(.day:not(.new))").allInnerTexts();
    assert.deepEqual(order.map((text) => /old|New since|new one/.exec(text)?.[0]), ["old", "New since", "new one"]);
    await say(page, "answer");
    await page.getByTestId("new-since").waitFor({ state: "detached" });
  });

  test("it is there after a reload as well, and not above what was seen", async (t) => {
    const { page, context, tell, room } = await visit(t);
    await tell("seen");
    await message(page, "seen").waitFor();
    await page.goto("about:blank");
    await tell("said meanwhile");
    await page.goto(`${server.url}/#${room}`);
    await page.getByTestId("new-since").waitFor();
    const order = await page.locator(".log ol > li:not(.day:not(.new))").allInnerTexts();
    assert.deepEqual(order.map((text) => /seen|New since|said/.exec(text)?.[0]), ["seen", "New since", "said"]);
    await page.reload();
    await message(page, "said meanwhile").waitFor();
    await tell("seen at once");
    await message(page, "seen at once").waitFor();
    assert.equal(await page.getByTestId("new-since").count(), 0);
    assert.equal(context.pages().length, 1);
  });

  test("the way to the end is there whenever one has scrolled up, and counts what comes", async (t) => {
    const { page, tell } = await visit(t);
    for (let n = 0; n < 40; n++) await tell(`line ${n}\nand another`);
    await message(page, "line 39").waitFor();
    assert.equal(await page.getByTestId("to-end").count(), 0);
    await page.locator(".log").evaluate((log) => (log.scrollTop = log.scrollHeight / 2));
    const toEnd = page.getByTestId("to-end");
    await toEnd.waitFor();
    assert.equal((await toEnd.innerText()).trim(), "");
    await tell("news");
    await toEnd.filter({ hasText: "1 new message" }).waitFor();
    await tell("more news");
    await toEnd.filter({ hasText: "2 new messages" }).waitFor();
    await toEnd.click();
    await toEnd.waitFor({ state: "detached" });
    assert.ok(await message(page, "more news").isVisible());
  });
});

describe("who is who", () => {
  test("two people of one name are told apart, in the list and at their messages", async (t) => {
    const { page, room, tell } = await visit(t, { friend: "Ada" });
    const friends = page.getByTestId("member").filter({ hasText: "Ada" });
    assert.equal(await friends.locator(".tag").count(), 0);
    const second = await connected(t, server.url, { auth: { name: "ada", key: "a key of the second Ada" } });
    await ask(second, "join", room);
    await friends.nth(1).waitFor();
    const tags = (await friends.locator(".tag").allInnerTexts()).map((tag) => tag.trim());
    assert.equal(new Set(tags).size, 2, `${tags}`);
    await tell("I am the first");
    await ask(second, "message", { room, text: "I am the second" });
    const tagOf = (text) => message(page, text).locator(".from .tag").innerText().then((tag) => tag.trim());
    await message(page, "I am the second").waitFor();
    assert.notEqual(await tagOf("I am the first"), await tagOf("I am the second"));
    assert.ok(tags.includes(await tagOf("I am the first")));
  });

  test("a new name reaches those who are there: programs, pages, and the same person's other tabs", async (t) => {
    const { page, context, friend, room } = await visit(t);
    const other = await context.newPage();
    await other.goto(`${server.url}/#${room}`);
    await other.getByTestId("member").filter({ hasText: "you" }).waitFor();
    const reader = await open(t, browser, `${server.url}/#${room}`);
    await rename(page, "Rosalind");
    const { member } = await next(friend, "renamed");
    assert.deepEqual(Object.keys(member), ["id", "name"]);
    assert.equal(member.name, "Rosalind");
    await reader.page.getByTestId("member").filter({ hasText: "Rosalind" }).waitFor();
    assert.equal(await reader.page.getByTestId("member").count(), 3);
    await other.getByTestId("member").filter({ hasText: "Rosalind" }).waitFor();
    assert.equal(await other.getByTestId("name").inputValue(), "Rosalind");
    await say(other, "From the other tab");
    assert.equal((await next(friend, "message")).from.name, "Rosalind");
  });
});
