// `parlour dev` in a chat that is in use: by programs, by people in a browser, and by whoever starts it in the wrong folder.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openBrowser } from "./harness/browser.mjs";
import { connected, stayedConnected } from "./harness/clients.mjs";
import { SLOW, edit, project, said, startDev } from "./harness/dev.mjs";
import { newStateDir } from "./harness/parlour.mjs";
import { BUILD_TIMEOUT } from "./harness/projects.mjs";

test("messages sent all the while are all answered and in order, whichever code they meet", SLOW, async (t) => {
  await writeFile(join(project, "src/lib.rs"), (await readFile(join(project, "src/lib.rs"), "utf8")).replace(/"text": .*? \}\)/, '"text": text })'));
  const dev = await startDev(t);
  await dev.listening(BUILD_TIMEOUT);
  const ann = await connected(t, dev.url, { reconnection: false });
  await ann.emitWithAck("join", "general");
  const heard = [];
  ann.on("chat message", ({ text }) => heard.push(text));
  let sent = 0;
  let isDone = false;
  const sending = (async () => {
    while (!isDone) await ann.timeout(60_000).emitWithAck("chat message", "general", `${sent++}`);
  })();
  for (const [from, to] of [['"text": text', '"text": format!("{text} of the first")'], ["of the first", "of the second"]]) {
    const start = dev.stderr.length;
    await edit("src/lib.rs", from, to);
    await said(dev, /The new code serves/, start);
    const seen = heard.length;
    while (heard.length < seen + 10) await sleep(20);
  }
  isDone = true;
  await sending;
  while (heard.length < sent) await sleep(20);
  assert.deepEqual(heard.map((text) => Number.parseInt(text, 10)), Array.from({ length: sent }, (_, at) => at));
  const kinds = heard.map((text) => text.replace(/^\d+ ?/, ""));
  assert.deepEqual(kinds.filter((kind, at) => kind !== kinds[at - 1]), ["", "of the first", "of the second"]);
  stayedConnected(ann);
});

test("a folder without a project is told so at once", async (t) => {
  const dev = await startDev(t, await newStateDir());
  const { code } = await dev.exited;
  assert.notEqual(code, 0);
  assert.match(dev.stderr, /cannot read the manifest .*spin\.toml/);
});

test("the page of a new chat chats, in a real browser", SLOW, async (t) => {
  const dev = await startDev(t);
  await dev.listening(BUILD_TIMEOUT);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const pages = [await browser.newPage(), await browser.newPage()];
  const wrong = [];
  for (const page of pages) {
    page.on("console", (line) => line.type() === "error" && wrong.push(line.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    await page.goto(dev.url);
    await page.getByText("You are in general.").waitFor();
  }
  await pages[0].getByLabel("Message").fill("Hello, all");
  await pages[0].getByRole("button", { name: "Send" }).click();
  await pages[0].getByText("You: Hello, all").waitFor();
  await pages[1].getByText(": Hello, all").waitFor();
  assert.deepEqual(wrong.filter((text) => !text.includes("favicon")), []);
});
