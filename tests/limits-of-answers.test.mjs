// What many ask for at once is more than one answer can have; and an app whose database is away for long, or that
// fails at one event of many. Nobody else waits for that for good, nothing is lost, nothing happens twice.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, client, connected, newRoom, next, unread } from "./harness/clients.mjs";
import { filesBelow, ROOT, startUp, within } from "./harness/parlour.mjs";

/** Generous: some of these move a hundred megabytes through a busy machine. */
const PATIENCE = 120_000;
/** The longest text of a message: 16 kB. */
const LONG = "x".repeat(16_000);

async function start(t, options) {
  const server = await startUp(options);
  t.after(() => server.stop());
  return server;
}

const asking = (socket, ...args) => socket.timeout(PATIENCE).emitWithAck(...args);

/** Says so many long messages into the room. */
async function say(socket, room, count) {
  const texts = Array.from({ length: count }, (_, n) => `${n} ${LONG}`);
  await Promise.all(texts.map((text) => asking(socket, "message", { room, text })));
}

/** Clients in the namespace `/`, but for those of whom a test wants to hear everything. */
async function crowd(t, url, count) {
  const sockets = Array.from({ length: count }, () => client(t, url, { reconnection: false }));
  await Promise.all(sockets.map((socket) => next(socket, "connect")));
  for (const socket of sockets) socket.offAny();
  return sockets;
}

describe("answers that would be too large", () => {
  test("60 pages of history of 1.6 MB each are answered, and so is who comes after them", async (t) => {
    const { url } = await start(t);
    const room = newRoom();
    const ada = await connected(t, url);
    await ask(ada, "join", room);
    await say(ada, room, 100);
    // Ten clients, for one that leaves 16 MiB unread is closed.
    const others = await crowd(t, url, 10);
    await Promise.all(others.map((socket) => asking(socket, "join", room)));
    const ask6 = (socket) => Array.from({ length: 6 }, () => asking(socket, "history", { room, limit: 100 }));
    for (const page of await Promise.all(others.flatMap(ask6))) {
      assert.deepEqual(page.map(({ text }) => text.split(" ")[0]), Array.from({ length: 100 }, (_, n) => `${n}`));
    }
    assert.ok((await ask(ada, "rooms")).some(({ name }) => name === room));
  });

  test("110 clients that join a room with 50 long messages are all told them", async (t) => {
    const { url } = await start(t);
    const room = newRoom();
    const ada = await connected(t, url);
    await ask(ada, "join", room);
    await say(ada, room, 50);
    const others = await crowd(t, url, 110);
    const joined = await Promise.all(others.map((socket) => asking(socket, "join", room)));
    for (const { messages } of joined) assert.equal(messages.length, 50);
    assert.ok((await ask(ada, "rooms")).some(({ name, members }) => name === room && members === 111));
  });

  test("150 clients that come back at once to half a megabyte each get it, in order, before they are in", async (t) => {
    const { url } = await start(t);
    const room = newRoom();
    const ada = await connected(t, url);
    await ask(ada, "join", room);
    const others = await crowd(t, url, 150);
    await Promise.all(others.map((socket) => asking(socket, "join", room)));
    const gone = others.map((socket) => once(socket, "disconnect"));
    for (const socket of others) socket.io.engine.close();
    await Promise.all(gone);
    await say(ada, room, 30);
    const back = others.map(async (socket) => {
      const heard = [];
      socket.on("message", ({ text }) => heard.push(text.split(" ")[0]));
      const connect = once(socket, "connect");
      socket.connect();
      await connect;
      assert.equal(socket.recovered, true);
      assert.deepEqual(heard, Array.from({ length: 30 }, (_, n) => `${n}`));
    });
    await within(PATIENCE, Promise.all(back), () => "not everyone is back");
    const { id } = await ask(ada, "message", { room, text: "welcome" });
    assert.ok(id);
  });

  test("who has missed more than a page gets all of it, and what is said meanwhile once", async (t) => {
    const { url } = await start(t);
    const room = newRoom();
    const ada = await connected(t, url);
    await ask(ada, "join", room);
    const [ben] = await crowd(t, url, 1);
    await asking(ben, "join", room);
    const gone = once(ben, "disconnect");
    ben.io.engine.close();
    await gone;
    await say(ada, room, 200);
    const heard = [];
    const all = new Promise((done) => {
      ben.on("message", ({ text }) => {
        heard.push(text.split(" ")[0]);
        if (text.startsWith("last")) done();
      });
    });
    ben.connect();
    // While he is given three megabytes, more is said.
    for (let n = 200; n < 260; n++) await ask(ada, "message", { room, text: `${n} more` });
    await ask(ada, "message", { room, text: "last" });
    await within(PATIENCE, all, () => `he has heard ${heard.length}`);
    assert.deepEqual(heard, [...Array.from({ length: 260 }, (_, n) => `${n}`), "last"]);
    assert.equal(ben.recovered, true);
  });
});

/** Holds the write lock of a database as another process would; ends at `release`. */
async function lock(t, file) {
  const program = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
`;
  const holder = spawn("python3", ["-c", program, file], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => void holder.kill("SIGKILL"));
  const failed = once(holder, "error").then(([error]) => {
    throw new Error(`this test needs python3, which has SQLite: ${error.message}`);
  });
  await Promise.race([once(holder.stdout, "data"), failed]);
  return {
    async release() {
      holder.stdin.end();
      await once(holder, "exit");
    },
  };
}

test("a database that another process locks for longer than SQLite waits three times: no message is lost, no member stays", async (t) => {
  const { url, stateDir } = await start(t);
  const room = newRoom();
  const [ada, ben, cora] = await Promise.all([1, 2, 3].map(() => connected(t, url)));
  for (const socket of [ada, ben, cora]) await ask(socket, "join", room);
  const file = (await filesBelow(stateDir)).find((name) => name.endsWith("sqlite_db.db"));
  const held = await lock(t, file);
  const locked = Date.now();
  ada.emit("message", { room, text: "without an ack" });
  cora.disconnect();
  const acked = asking(ada, "message", { room, text: "with an ack" });
  // Three times 5 s is what made the relay give up.
  await new Promise((enough) => setTimeout(enough, 17_000));
  assert.ok(Date.now() - locked > 15_000);
  assert.deepEqual(unread(ben, "message"), [], "nothing is told that is not stored");
  await held.release();
  assert.ok((await acked).id);
  const said = [await next(ben, "message"), await next(ben, "message")];
  assert.deepEqual(said.map(({ text }) => text), ["without an ack", "with an ack"]);
  await next(ben, "left");
  const dan = await connected(t, url);
  const { members, messages } = await ask(dan, "join", room);
  assert.equal(members.length, 3, "Ada, Ben and Dan");
  assert.equal(messages.length, 2);
});

test("an event that the app traps at, among many: only its sender hears of it, and the log says which it was", async (t) => {
  const manifest = join(ROOT, "tests/features/spin.toml");
  const server = await start(t, { manifest });
  const [ada, ben] = await Promise.all([1, 2].map(() => connected(t, server.url)));
  const asked = [];
  for (let n = 0; n < 60; n++) {
    asked.push(asking(ada, "about"), asking(ben, "about"));
    if (n === 30) ada.emit("panic");
  }
  const trapped = asking(ada, "panic");
  for (const { id } of await Promise.all(asked)) assert.ok(id);
  assert.equal((await trapped).error.code, "internal");
  assert.match(server.logs, /giving up an event[^\n]*namespace="?\/"?[^\n]*event="?panic/);
  assert.deepEqual(unread(ben, "disconnect"), []);
});
