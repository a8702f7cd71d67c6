// Makes the pictures of the README, docs/images/chat-*.webp: real people, so to speak, in a real browser on a real
// server. `node tests/screenshots.mjs`, after `cargo xtask build`.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openBrowser } from "./harness/browser.mjs";
import { ask, connected } from "./harness/clients.mjs";
import { message, online, say } from "./harness/page.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";

const FOLDER = join(ROOT, "docs/images");
const SIZE = { width: 1200, height: 780 };
const QUALITY = 82;

/** Stands in for a test's context: what is to be closed at the end. */
const closers = [];
const t = { after: (close) => closers.unshift(close) };

const ROOMS = ["general", "kitchen", "releases"];
const TALK = [
  ["ada", "Morning! I have just redeployed the lobby. Did anybody notice?"],
  ["ben", "Not a flicker. The sockets stayed where they were."],
  ["noa", "גם אני לא הרגשתי כלום 🙂"],
  ["ada", "Good. It was this, by the way:\n```rust\nio.on(\"order\", async |io: Nsp, dish: String| {\n    io.to(\"kitchen\").emit(\"ordered\", dish)\n});\n```"],
  ["twin", "And if one kills the server with `kill -9`?"],
  ["ben", "Then we are back in a second, with everything in its order: https://en.wikipedia.org/wiki/Parlour_(room) has nothing on it. @Robin, try it!"],
];

const server = await startUp();
const browser = await openBrowser();
t.after(() => Promise.all([server.stop(), browser.close()]));
try {
  const people = await guests();
  for (const [who, text] of TALK) await ask(people[who], "message", { room: "general", text });
  await mkdir(FOLDER, { recursive: true });
  const page = await robin();
  await ask(people.ben, "message", { room: "kitchen", text: "@Robin, the tea is ready" });
  await ask(people.ada, "message", { room: "kitchen", text: "And the cake" });
  await page.getByTestId("room").filter({ hasText: "kitchen" }).locator(".count").waitFor();
  await ask(people.noa, "typing", { room: "general", typing: true });
  await page.getByTestId("typing").filter({ hasText: "typing" }).waitFor();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await writeFile(join(FOLDER, `chat-${colorScheme}.webp`), await picture(page));
  }
} finally {
  for (const close of closers) await close();
}

/** Those who talk; two of them are called Ada. */
async function guests() {
  const people = {};
  for (const [key, name] of [["ada", "Ada"], ["ben", "Ben Okri"], ["noa", "נועה"], ["twin", "Ada"], ["cleo", "Cleo Marsh"]]) {
    people[key] = await connected(t, server.url, { auth: { name, key: `the key of ${key} for the picture` } });
    for (const room of ROOMS) await ask(people[key], "join", room);
  }
  return people;
}

/** Somebody who looks at it all, and answers. */
async function robin() {
  const context = await browser.newContext({ viewport: SIZE, deviceScaleFactor: 2 });
  const page = await context.newPage();
  const place = { rooms: ROOMS, last: "general" };
  const stored = { name: "Robin", key: "the key of Robin for the picture", places: { lobby: place, members: place } };
  await page.addInitScript((stored) => localStorage.setItem("parlour", stored), JSON.stringify(stored));
  await page.goto(server.url);
  await online(page);
  await message(page, "try it!").waitFor();
  await say(page, "Done, while you were typing. Here I am again.");
  await message(page, "Here I am again").locator(".state", { hasText: "sent" }).waitFor();
  return page;
}

async function picture(page) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY });
  return Buffer.from(data, "base64");
}
