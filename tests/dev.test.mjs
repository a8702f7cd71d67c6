// `parlour dev`: what somebody edits serves a moment later, and no client is disconnected by it.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import { openBrowser } from "./harness/browser.mjs";
import { connected, next, stayedConnected } from "./harness/clients.mjs";
import { Process, newStateDir, within } from "./harness/parlour.mjs";
import { BUILD_TIMEOUT, build, newProject } from "./harness/projects.mjs";
import { http } from "./harness/raw.mjs";

const SLOW = { timeout: 2 * BUILD_TIMEOUT };

/** The chat that all tests here edit, one after the other; each leaves it such that it builds. */
let project;
const used = { after: [] };
before(async () => {
  project = await newProject({ after: (done) => used.after.push(done) }, "chat");
  await build(project);
}, SLOW);
after(() => Promise.all(used.after.map((done) => done())));

/** `parlour dev` in the project. */
async function startDev(t, folder = project) {
  const stateDir = await newStateDir();
  const args = ["dev", "-f", join(folder, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir];
  const dev = new Process(args, stateDir);
  t.after(() => dev.stop());
  return dev;
}

/** Changes a file of the project. */
async function edit(file, from, to) {
  const text = await readFile(join(project, file), "utf8");
  assert.ok(text.includes(from), `${file} has ${from}`);
  await writeFile(join(project, file), text.replace(from, to));
}

/** Waits until `dev` has said this since `start`, a length of what it had said. */
async function said(dev, pattern, start = 0) {
  const found = async () => {
    while (!pattern.test(dev.stderr.slice(start))) await sleep(50);
  };
  await within(BUILD_TIMEOUT, found(), () => `parlour dev did not say ${pattern}: ${dev.stderr.slice(start)}`);
}

test("a client stays connected over five edits, one of which does not compile, and sees what each good one does", SLOW, async (t) => {
  const dev = await startDev(t);
  await dev.listening(BUILD_TIMEOUT);
  const ann = await connected(t, dev.url, { reconnection: false });
  await ann.emitWithAck("join", "general");
  const { id } = ann;
  const says = async (text) => {
    await ann.emitWithAck("chat message", "general", "Hello");
    assert.equal((await next(ann, "chat message")).text, text);
  };
  const edited = async (file, from, to) => {
    const start = dev.stderr.length;
    await edit(file, from, to);
    await said(dev, /The new code serves/, start);
    assert.match(dev.stderr.slice(start), new RegExp(`Changed: .*${file}`));
  };
  await says("Hello");

  await edited("src/lib.rs", '"text": text', '"text": format!("{text}, first")');
  await says("Hello, first");

  const start = dev.stderr.length;
  await edit("src/lib.rs", 'format!("{text}, first")', 'format!("{text}, second"');
  await said(dev, /What ran before goes on serving/, start);
  const error = dev.stderr.slice(start);
  assert.match(error, /^error/m, "the compiler's own words");
  assert.match(error, /src\/lib\.rs:\d+:\d+/);
  assert.match(error, /the component chat does not build: `cargo build/);
  await says("Hello, first");

  await edited("src/lib.rs", 'format!("{text}, second"', 'format!("{text}, second")');
  await says("Hello, second");

  const about = '\n[[trigger.http]]\nroute = "/about"\nstatic_response = { body = "mine" }\n';
  await edited("spin.toml", "# --- What Parlour brings", `${about}\n# --- What Parlour brings`);
  assert.equal((await http(dev.url, "/about")).body, "mine");
  await says("Hello, second");

  await edited("page/index.html", "<h1>my-chat</h1>", "<h1>A page of my own</h1>");
  assert.match((await http(dev.url, "/")).body, /A page of my own/);
  await says("Hello, second");

  stayedConnected(ann);
  assert.equal(ann.id, id);
  assert.equal(dev.stdout, `Listening on ${dev.url}\n`);
});

test("what does not build at first is waited for", SLOW, async (t) => {
  const good = await readFile(join(project, "src/lib.rs"), "utf8");
  await writeFile(join(project, "src/lib.rs"), `${good}\nfn broken() -> u32 { nobody }\n`);
  const dev = await startDev(t);
  await said(dev, /It is tried again when a file changes/);
  assert.match(dev.stderr, /cannot find value `nobody`/);
  await writeFile(join(project, "src/lib.rs"), good);
  await dev.listening(BUILD_TIMEOUT);
  await (await connected(t, dev.url)).emitWithAck("join", "general");
});

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
