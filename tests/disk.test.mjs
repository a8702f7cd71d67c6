// A disk that fails under a running server. Whatever it does, what was acked is in the history, what was refused is
// not, and the server goes on when the disk does.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ask, connected, newRoom, stayedConnected, unread } from "./harness/clients.mjs";
import { Process, ROOT, freePort, newStateDir, run, secrets, startApp, startRelay, startUp, within } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

const command = promisify(execFile);
const DATABASE = "sqlite_db.db";
/** Bytes of the disk that gets full. The chat's empty database and its log take up a part of it. */
const DISK = 2 << 20;
/** For everything that the relay tries before it gives up, milliseconds. */
const PATIENT = 120_000;

/** A small disk of its own, which needs root; none where it cannot be had. */
async function smallDisk(t) {
  const at = join(await newStateDir(), "disk");
  await mkdir(at);
  try {
    await command("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", at]);
  } catch (error) {
    t.skip(`no small disk can be mounted: ${error}`);
    return undefined;
  }
  t.after(() => command("umount", ["-l", at]));
  return at;
}

/**
 * A disk with a file system that can fail as it does when it finds an error of the device: from then on it is
 * read-only, also for files that are open already, until it is mounted anew. None where it cannot be had.
 */
async function failingDisk(t) {
  const folder = await newStateDir();
  const [image, at] = [join(folder, "image"), join(folder, "disk")];
  await mkdir(at);
  const mount = () => command("mount", ["-o", "loop", image, at]);
  try {
    await writeFile(image, "");
    await truncate(image, 64 << 20);
    await command("mkfs.ext4", ["-q", image]);
    await mount();
  } catch (error) {
    t.skip(`no disk that can fail can be mounted: ${error}`);
    return undefined;
  }
  const unmount = () => command("umount", [at]);
  t.after(() => command("umount", ["-l", at]).catch(() => {}));
  return {
    state: join(at, "state"),
    fail: () => command("mount", ["-o", "remount,abort", at]),
    repair: async () => {
      await unmount();
      await mount();
    },
  };
}

/** Sends a message; whether it was acked as said. */
async function say(socket, room, text) {
  const answer = await within(PATIENT, socket.emitWithAck("message", { room, text }), () => `no answer to ${text}`);
  return { text, acked: !answer.error, answer };
}

const said = async (socket, room) => (await ask(socket, "join", room)).messages.map(({ text }) => text);

test("a full disk: nothing is acked that is not kept, and all goes on when there is room again", async (t) => {
  const disk = await smallDisk(t);
  if (!disk) return;
  const room = newRoom();
  const server = await startUp({ stateDir: disk });
  t.after(() => server.kill9());
  const ada = await connected(t, server.url);
  const ben = await connected(t, server.url);
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  const before = await say(ada, room, "before");
  assert.ok(before.acked);

  const filler = join(disk, "filler");
  await writeFile(filler, Buffer.alloc(DISK)).then(
    () => assert.fail("the disk is larger than it should be"),
    (error) => assert.equal(error.code, "ENOSPC"),
  );
  // Enough that they cannot fit into what the log had reserved.
  const large = "x".repeat(3000);
  const refused = new Promise((resolve) => {
    server.front.child.stderr.on("data", () => /disk is full/.test(server.logs) && resolve(undefined));
  });
  const saying = [];
  for (let n = 0; n < 40; n++) saying.push(say(ada, room, `${n} ${large}`));
  await within(PATIENT, refused, () => `nobody complains of the full disk:\n${server.logs.slice(-4000)}`);
  await rm(filler);

  const all = [before, ...(await Promise.all(saying)), await say(ben, room, "after")];
  assert.ok(all.at(-1).acked, JSON.stringify(all.at(-1).answer));
  const kept = await said(ben, room);
  assert.deepEqual(kept, all.filter(({ acked }) => acked).map(({ text }) => text));
  for (const socket of [ada, ben]) stayedConnected(socket);
  const { code } = await server.stop();
  assert.equal(code, 0, server.logs.slice(-2000));
});

test("a write-ahead log that is deleted: what is acked is kept, and it is noticed", async (t) => {
  const room = newRoom();
  const stateDir = await newStateDir();
  const server = await startUp({ stateDir });
  t.after(() => server.kill9());
  const ada = await connected(t, server.url);
  await ask(ada, "join", room);
  const first = [];
  for (let n = 0; n < 20; n++) first.push(await say(ada, room, `${n}`));
  assert.ok(first.every(({ acked }) => acked));
  for (const journal of ["-wal", "-shm"]) await rm(join(stateDir, `${DATABASE}${journal}`));
  const then = [];
  for (let n = 20; n < 40; n++) then.push(await say(ada, room, `${n}`));
  assert.match(server.logs, /the write-ahead log was deleted while it was open; what was in it is now in the database/);
  // Without an orderly end: all that is acked must be where the next server finds it.
  await server.kill9();

  const again = await startUp({ stateDir });
  t.after(() => again.kill9());
  const kept = await said(await connected(t, again.url), room);
  const acked = [...first, ...then].filter((it) => it.acked).map(({ text }) => text);
  assert.deepEqual(kept, acked);
});

test("a read-only disk is named at the start, and serves when it can be written", async (t) => {
  const disk = await smallDisk(t);
  if (!disk) return;
  const room = newRoom();
  const first = await startUp({ stateDir: disk });
  t.after(() => first.kill9());
  const ada = await connected(t, first.url);
  await ask(ada, "join", room);
  assert.ok((await say(ada, room, "kept")).acked);
  ada.disconnect();
  await first.stop();
  await command("mount", ["-o", "remount,ro", disk]);
  const { code, stderr } = await run(["up", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", disk]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`${disk}.*Read-only file system`, "s"));
  await command("mount", ["-o", "remount,rw", disk]);
  const second = await startUp({ stateDir: disk });
  t.after(() => second.kill9());
  assert.deepEqual(await said(await connected(t, second.url), room), ["kept"]);
});

test("a disk that becomes read-only: nothing is acked, it is said, and all goes on when it is mounted anew", async (t) => {
  const disk = await failingDisk(t);
  if (!disk) return;
  const env = secrets();
  const listen = `127.0.0.1:${await freePort()}`;
  const control = `127.0.0.1:${await freePort()}`;
  const room = newRoom();
  const app = await startApp({ stateDir: disk.state, env, listen });
  t.after(() => app.kill9());
  const relay = await startRelay({ origin: app.url, env, control });
  t.after(() => relay.kill9());
  const ready = async (status, body) => {
    for (;;) {
      const answer = await http(`http://${control}`, "/readyz");
      if (answer.status === status && body.test(answer.body)) return;
      await new Promise((later) => setTimeout(later, 100));
    }
  };
  const [ada, ben] = [await connected(t, relay.url), await connected(t, relay.url)];
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  assert.ok((await say(ada, room, "before")).acked);

  await disk.fail();
  let answered = 0;
  const texts = ["one", "two", "three"];
  const saying = texts.map((text) => say(ada, room, text).finally(() => (answered += 1)));
  await within(PATIENT, ready(503, /read-?only|unable to open/i), () => `nobody complains of the disk:\n${app.logs.slice(-2000)}`);
  assert.equal(answered, 0, "an answer came though nothing can be kept");
  assert.equal((await http(relay.url, "/")).status, 200, "what needs no disk is served");
  assert.deepEqual(unread(ben, "message").map(({ text }) => text), ["before"]);
  for (const socket of [ada, ben]) stayedConnected(socket);

  await app.stop();
  await disk.repair();
  const again = await startApp({ stateDir: disk.state, env, listen });
  t.after(() => again.kill9());
  for (const { acked, answer } of await Promise.all(saying)) assert.ok(acked, JSON.stringify(answer));
  await within(PATIENT, ready(200, /^ok/), () => "the server does not become ready again");
  assert.deepEqual(await said(ben, room), ["before", ...texts]);
  for (const socket of [ada, ben]) stayedConnected(socket);
});

test("a full disk under the logs stops nobody", async (t) => {
  const room = newRoom();
  const stateDir = await newStateDir();
  const full = openSync("/dev/full", "w");
  const args = ["up", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir];
  const server = await new Process(args, stateDir, { RUST_LOG: "debug" }, { stderr: full }).listening();
  closeSync(full);
  t.after(() => server.kill9());
  const ada = await connected(t, server.url);
  await ask(ada, "join", room);
  assert.ok((await say(ada, room, "said")).acked);
  assert.equal((await server.stop()).code, 0);
});
