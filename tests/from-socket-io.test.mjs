// docs/from-socket-io.md: its JavaScript runs on the real server of npm's socket.io, its Rust is the component
// `from-socket-io`, and the same clients do the same with both. They must hear the same.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import jwt from "jsonwebtoken";
import { PATIENCE, ask, client, connected, next, nextFew, sibling, unread } from "./harness/clients.mjs";
import { ARTIFACTS, ROOT, freePort, secrets, startUp, within } from "./harness/parlour.mjs";

/** How many times as many lines the Rust may have. */
const LONGER = 1.3;
/** Columns that a line of either may have, so that lines can be compared. */
const WIDTH = 72;

/** @typedef {{heading: string, js: string, rust: string, toml: string}} Section */

const page = await readFile(join(ROOT, "docs/from-socket-io.md"), "utf8");
const manifest = await readFile(join(ROOT, "tests/from-socket-io/spin.toml"), "utf8");
/** @type {Section[]} */
const sections = page
  .split("\n## ")
  .slice(1)
  .map((text) => {
    const block = (language) => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(text)?.[1] ?? "";
    return { heading: text.slice(0, text.indexOf("\n")), js: block("js"), rust: block("rust"), toml: block("toml") };
  });

/** Without blank lines and comments. */
const lines = (code) => code.split("\n").filter((line) => line.trim() && !/^\s*(\/\/|#(?!\[))/.test(line));

const { SPIN_VARIABLE_AUTH_SECRET: SECRET, ...relaySecret } = secrets();

/** The section's JavaScript, in a process of its own. @param {Section} section */
async function startSocketIo({ heading, js }) {
  const port = await freePort();
  const isWhole = js.includes("new Server(");
  const head = isWhole ? "" : 'import { Server } from "socket.io";\nconst io = new Server(3000);\n';
  const program = (head + js).replace("new Server(3000", `new Server(${port}`);
  assert.match(program, new RegExp(`new Server\\(${port}`));
  const folder = join(ARTIFACTS, "from-socket-io");
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${heading.toLowerCase().replaceAll(" ", "-")}.mjs`);
  await writeFile(file, `${program}\nio.httpServer.on("listening", () => console.log("listening"));\n`);
  const child = spawn(process.execPath, [file], { env: { ...process.env, AUTH_SECRET: SECRET }, stdio: ["ignore", "pipe", "inherit"] });
  const died = once(child, "exit").then(([code]) => assert.fail(`the JavaScript of ${heading} ended: ${code}`));
  died.catch(() => {});
  await within(PATIENCE, Promise.race([once(child.stdout, "data"), died]), () => "it does not listen");
  return { url: `http://127.0.0.1:${port}`, stop: () => child.kill() };
}

/** The section's Rust, with what the page says of spin.toml, or other namespaces. @param {Section} section */
async function startParlour({ heading, toml }, others) {
  const namespaces = others ?? /^namespaces = '''(\{[^]*\})'''$/m.exec(toml)?.[1];
  const recovery = /^recovery_duration = "(.*)"$/m.exec(toml)?.[1];
  const rest = toml.replace(/^namespaces = '''[^]*'''$/m, "").replace(/^recovery_duration = .*$/m, "");
  for (const line of lines(rest)) assert.ok(manifest.includes(`\n${line}\n`), `spin.toml has no ${line}`);
  const component = heading === "Get started" ? "get-started" : "app";
  const env = {
    ...relaySecret,
    SPIN_VARIABLE_AUTH_SECRET: SECRET,
    SPIN_VARIABLE_SECTION: heading,
    SPIN_VARIABLE_NAMESPACES: namespaces ?? `{ "/": { "component": "${component}", "middleware": false } }`,
    ...(recovery && { SPIN_VARIABLE_RECOVERY_DURATION: recovery }),
  };
  return startUp({ manifest: join(ROOT, "tests/from-socket-io/spin.toml"), env });
}

/**
 * Starts watching before it connects, so that nothing is missed.
 * @returns {Promise<any>} a client that is in
 */
const enter = (t, url, options) => connected(t, url, options);

/** What a client has heard, in order, up to the event `end`: names and arguments. */
function recorded(socket) {
  const heard = [];
  socket.onAny((event, ...args) => heard.push([event, ...args]));
  return heard;
}

/** Replaces ids by whose they are. */
function named(value, people) {
  let text = JSON.stringify(value);
  for (const [name, id] of Object.entries(people)) text = text.replaceAll(id, name);
  return JSON.parse(text);
}

/** What clients do in each section, and what they must hear. @type {Record<string, (t: any, url: string) => Promise<any>>} */
const SCRIPTS = {
  async "Get started"(t, url) {
    const [ann, ben] = [await enter(t, url), await enter(t, url)];
    ann.emit("chat message", "hello");
    return [await next(ann, "chat message"), await next(ben, "chat message")];
  },

  async "Emit cheatsheet"(t, url) {
    const people = { ann: await enter(t, url), ben: await enter(t, url), eve: await enter(t, url), zoe: await enter(t, url) };
    const reader = await enter(t, url, { namespace: "/news" });
    await ask(people.ann, "join", ["room1"]);
    await ask(people.ben, "join", ["room1", "room2"]);
    await ask(people.eve, "join", ["room2"]);
    const heard = Object.fromEntries(Object.entries(people).map(([name, socket]) => [name, recorded(socket)]));
    const ids = Object.fromEntries(Object.entries(people).map(([name, socket]) => [name, socket.id]));
    people.ann.emit("tell", people.zoe.id);
    for (const socket of Object.values(people)) await next(socket, "all");
    await next(reader, "news");
    return named(heard, ids);
  },

  async Rooms(t, url) {
    const [ann, ben] = [await enter(t, url), await enter(t, url)];
    const ids = { ann: ann.id, ben: ben.id };
    await ask(ann, "join", "kitchen");
    await ask(ben, "join", "kitchen");
    const joined = await next(ann, "joined");
    ann.emit("say", "kitchen", "dinner");
    const said = [await next(ann, "said"), await next(ben, "said")];
    const who = (await ask(ann, "who", "kitchen")).sort((a, b) => (a === ann.id ? -1 : b === ann.id ? 1 : 0));
    await ask(ben, "leave", "kitchen");
    const left = await next(ann, "left");
    const fewer = await ask(ann, "who", "kitchen");
    ann.emit("clear", "kitchen");
    const none = await ask(ann, "who", "kitchen");
    assert.deepEqual([unread(ben, "left"), unread(ben, "joined")], [[], []]);
    return named([joined, said, who, left, fewer, none], ids);
  },

  async Disconnecting(t, url) {
    const [ann, ben] = [await enter(t, url), await enter(t, url)];
    const heard = recorded(ann);
    const ids = { ann: ann.id, ben: ben.id };
    ben.disconnect();
    await next(ann, "one less");
    return named(heard, ids);
  },

  async "Namespaces with middleware"(t, url) {
    const ann = await enter(t, url);
    const [eve, ben] = [sibling(t, ann, "/admin", { key: "guess" }), sibling(t, await enter(t, url), "/admin", { key: "letmein" })];
    const refused = (await next(eve, "connect_error")).message;
    await next(ben, "connect");
    ben.emit("alert", "fire");
    const heard = [await next(ben, "alert"), await next(ann, "said")];
    ann.emit("say", "thanks");
    return [refused, ...heard, await next(ann, "said"), unread(eve, "alert"), unread(ben, "said")];
  },

  async "An authorised namespace"(t, url) {
    const signed = (secret) => jwt.sign({ sub: "u1", name: "Ann" }, secret, { expiresIn: "1h" });
    const eve = client(t, url, { namespace: "/members", auth: { token: signed("another secret, also of 32 bytes and more") } });
    const nobody = client(t, url, { namespace: "/members" });
    await next(eve, "connect_error");
    await next(nobody, "connect_error");
    const ann = await enter(t, url, { namespace: "/members", auth: { token: signed(SECRET) } });
    const heard = recorded(ann);
    ann.emit("shout", "hello");
    await next(ann, "shouted");
    return [heard, eve.connected, nobody.connected];
  },

  async Acknowledgements(t, url) {
    const [ann, ben] = [await enter(t, url), await enter(t, url)];
    ann.on("question", (question, answer) => answer(`${question} 42`));
    ben.on("question", (question, answer) => answer(`${question} 42`));
    const sum = await ask(ann, "add", 2, 3);
    ann.emit("ask", "6 × 7?");
    return [sum, await next(ann, "answers"), unread(ben, "answers")];
  },

  async Recovery(t, url) {
    const [ann, ben] = [await enter(t, url), await enter(t, url)];
    ben.emit("publish", "one");
    const heard = [await next(ann, "news")];
    const id = ann.id;
    ann.io.reconnection(false);
    ann.io.engine.close();
    await next(ann, "disconnect");
    ben.emit("publish", "two");
    assert.deepEqual(await nextFew(ben, "news", 2), ["one", "two"]);
    ann.connect();
    await next(ann, "connect");
    heard.push(await next(ann, "news"), ann.recovered, ann.id === id);
    await next(ann, "welcome back");
    ben.emit("publish", "three");
    return [...heard, await next(ann, "news")];
  },
};

/** What they must hear, so that it is not the same silence. */
const HEARD = {
  "Get started": ["hello", "hello"],
  "Emit cheatsheet": {
    ann: [["volatile"], ["hello", 1, "2", { 3: "4" }], ["room1"], ["room1 only"], ["local"], ["all"]],
    ben: [["others"], ["others in room1"], ["others in either"], ["room1"], ["local"], ["all"]],
    eve: [["others"], ["others in either"], ["not room1"], ["local"], ["all"]],
    zoe: [["others"], ["not room1"], ["private", "ann"], ["local"], ["all"]],
  },
  Rooms: ["ben", ["dinner", "dinner"], ["ann", "ben"], "ben", ["ann"], []],
  Disconnecting: [["user has left", "ben", "client namespace disconnect"], ["one less"]],
  "Namespaces with middleware": ["not an admin", "fire", "fire", "thanks", [], []],
  "An authorised namespace": [[["shouted", "Ann", "hello"]], false, false],
  Acknowledgements: [5, ["6 × 7? 42", "6 × 7? 42"], []],
  Recovery: ["one", "two", true, true, "three"],
};

describe("docs/from-socket-io.md", () => {
  test("has a script for each of its sections, and each section has both languages", () => {
    assert.deepEqual(sections.map(({ heading }) => heading), Object.keys(SCRIPTS));
    for (const { heading, js, rust } of sections) assert.ok(js && rust, heading);
    // Nothing on the page is left out because of how its block is written.
    assert.equal(page.match(/^```\w/gm)?.length, sections.flatMap(({ js, rust, toml }) => [js, rust, toml]).filter(Boolean).length);
  });

  test("its Rust, with what it needs of spin.toml, has at most 1.3 times the lines of the JavaScript", () => {
    for (const { heading, js, rust, toml } of sections) {
      const [ours, theirs] = [lines(rust + toml).length, lines(js).length];
      assert.ok(ours <= theirs * LONGER, `${heading}: ${ours} lines for ${theirs}`);
      for (const line of (js + rust).split("\n")) assert.ok(line.length <= WIDTH, `${heading}: ${line}`);
    }
  });

  const ADMIN = "Namespaces with middleware";
  const withAdmin = sections.find(({ heading }) => heading === ADMIN);

  test("each namespace can be a component of its own: a line in spin.toml decides", async (t) => {
    const namespaces = { "/": { component: "app", middleware: false }, "/admin": { component: "own", middleware: false } };
    const server = await startParlour(withAdmin, JSON.stringify(namespaces));
    try {
      assert.deepEqual(await SCRIPTS[ADMIN](t, server.url), HEARD[ADMIN]);
    } finally {
      await server.stop();
    }
  });

  test("a namespace that the app has no handlers for is invalid, and the log says what there is", async (t) => {
    const namespaces = { "/": { component: "app", middleware: false }, "/amdin": { component: "app", middleware: false } };
    const server = await startParlour(withAdmin, JSON.stringify(namespaces));
    try {
      const ann = await connected(t, server.url);
      const error = await next(sibling(t, ann, "/amdin", { key: "letmein" }), "connect_error");
      assert.equal(error.message, "Invalid namespace");
      ann.emit("say", "here");
      assert.equal(await next(ann, "said"), "here");
    } finally {
      await server.stop();
    }
    assert.match(server.logs, /\/amdin.*the app has no handlers for this namespace, but for \/, \/admin: .*io\.of.*spin\.toml/);
  });

  for (const section of sections) {
    const { heading } = section;
    for (const [side, start] of Object.entries({ JavaScript: startSocketIo, Rust: startParlour })) {
      test(`${heading}: the ${side} does what the page says`, async (t) => {
        const server = await start(section);
        try {
          assert.deepEqual(await SCRIPTS[heading](t, server.url), HEARD[heading]);
        } finally {
          await server.stop();
        }
      });
    }
  }
});
