// Backups of a database that is written meanwhile, and the way back; and what a database looks like to those who
// start a server after a crash.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, connected, newRoom } from "./harness/clients.mjs";
import { ROOT, newStateDir, run, startUp } from "./harness/parlour.mjs";

const DATABASE = "sqlite_db.db";
/** Messages that a client has under way at once. */
const UNDER_WAY = 4;

async function started(t, options) {
  const server = await startUp(options);
  t.after(() => server.kill9());
  return server;
}

/** Runs a command that must succeed. */
async function parlour(...args) {
  const { code, stdout, stderr } = await run(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Runs a command that must fail, and returns what it says. */
async function refused(...args) {
  const { code, stderr } = await run(args);
  assert.equal(code, 1, stderr);
  return stderr;
}

/** Numbered messages without a pause until it is told to stop; `acked` are those that are certain. */
function chatter(socket, room) {
  const flow = { acked: -1, next: 0, stopped: false, done: undefined };
  const speak = async () => {
    while (!flow.stopped) {
      const n = flow.next++;
      await ask(socket, "message", { room, text: `${n}` });
      flow.acked = Math.max(flow.acked, n);
    }
  };
  flow.done = Promise.all(Array.from({ length: UNDER_WAY }, speak));
  return flow;
}

const texts = async (socket, room) => (await ask(socket, "join", room)).messages.map(({ text }) => Number(text));

/** Whether each number is the one before it plus one. */
const isGapless = (numbers) => numbers.every((n, at) => at === 0 || n === numbers[at - 1] + 1);

describe("a backup while messages flow", () => {
  test("has everything that was acked before it, and is a database of its own", async (t) => {
    const room = newRoom();
    const server = await started(t);
    const ada = await connected(t, server.url);
    await ask(ada, "join", room);
    const flow = chatter(ada, room);
    const backups = [];
    for (let n = 0; n < 3; n++) {
      const file = join(await newStateDir(), "backup.db");
      while (flow.acked < 20 * (n + 1)) await ask(ada, "rooms");
      const { acked } = flow;
      await parlour("backup", file, "--state-dir", server.stateDir);
      backups.push({ file, acked });
    }
    flow.stopped = true;
    await flow.done;
    await server.stop();

    for (const { file, acked } of backups) {
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const stateDir = await newStateDir();
      await parlour("restore", file, "--state-dir", stateDir);
      const restored = await started(t, { stateDir });
      const said = await texts(await connected(t, restored.url), room);
      assert.ok(isGapless(said), `${said}`);
      assert.ok(said.at(-1) >= acked, `${said.at(-1)} is the last, and ${acked} was acked before the backup`);
      await restored.stop();
    }
  });

  test("never overwrites a file, and says where there is no database", async (t) => {
    const server = await started(t);
    await ask(await connected(t, server.url), "rooms");
    const file = join(await newStateDir(), "precious");
    await writeFile(file, "precious");
    assert.match(await refused("backup", file, "--state-dir", server.stateDir), /exists, and is not overwritten/);
    assert.equal(await readFile(file, "utf8"), "precious");
    const empty = await newStateDir();
    assert.match(await refused("backup", `${file}2`, "--state-dir", empty), /there is no database in/);
    assert.ok(!existsSync(`${file}2`));
  });

  test("has every database that the runtime configuration names", async (t) => {
    const stateDir = await newStateDir();
    const config = join(stateDir, "runtime-config.toml");
    const path = join(stateDir, "more", "other.db");
    await writeFile(config, `[sqlite_database.other]\ntype = "spin"\npath = "${path}"\n`);
    const server = await started(t, { stateDir, args: ["--runtime-config-file", config] });
    await ask(await connected(t, server.url), "rooms");
    const backups = await newStateDir();
    const with_config = ["--state-dir", stateDir, "--runtime-config-file", config];
    await parlour("backup", join(backups, "one"), ...with_config);
    assert.deepEqual(await readdir(backups), ["one"], "the other database does not exist yet");
    // Any sound database will do.
    await parlour("restore", join(backups, "one"), "--state-dir", join(stateDir, "more"));
    await server.stop();
    const made = join(stateDir, "more", DATABASE);
    await writeFile(path, await readFile(made));
    await parlour("backup", join(backups, "two"), ...with_config);
    assert.deepEqual((await readdir(backups)).sort(), ["one", "two", "two.other"]);
  });
});

describe("a restore", () => {
  test("waits for the server to be stopped, and keeps what was there", async (t) => {
    const room = newRoom();
    const stateDir = await newStateDir();
    const file = join(await newStateDir(), "backup.db");
    const server = await started(t, { stateDir });
    const ada = await connected(t, server.url);
    await ask(ada, "join", room);
    await ask(ada, "message", { room, text: "1" });
    await parlour("backup", file, "--state-dir", stateDir);
    await ask(ada, "message", { room, text: "2" });
    assert.match(await refused("restore", file, "--state-dir", stateDir), /a server uses the state directory .* stop it first/);
    ada.disconnect();
    await server.stop();

    const said = await parlour("restore", file, "--state-dir", stateDir);
    const kept = /what was there is kept as (.*)/.exec(said)?.[1];

    const restored = await started(t, { stateDir });
    assert.deepEqual(await texts(await connected(t, restored.url), room), [1]);
    await restored.stop();
    await parlour("restore", kept, "--state-dir", stateDir);
    const again = await started(t, { stateDir });
    assert.deepEqual(await texts(await connected(t, again.url), room), [1, 2]);
  });

  test("touches nothing if the backup is not sound", async (t) => {
    const stateDir = await newStateDir();
    const server = await started(t, { stateDir });
    await ask(await connected(t, server.url), "rooms");
    const file = join(await newStateDir(), "backup.db");
    await parlour("backup", file, "--state-dir", stateDir);
    await server.stop();
    await overwrite(file);
    const before = await readFile(join(stateDir, DATABASE));
    assert.match(await refused("restore", file, "--state-dir", stateDir), /backup.db cannot be used/);
    assert.deepEqual(await readFile(join(stateDir, DATABASE)), before);
  });
});

/** Damages some pages of a database, as a disk does that fails. */
async function overwrite(database) {
  const file = await open(database, "r+");
  await file.write(Buffer.alloc(12 << 10, 0x5a), 0, undefined, 8 << 10);
  await file.close();
}

test("after a crash a damaged database is not served, until a backup is restored", async (t) => {
  const room = newRoom();
  const stateDir = await newStateDir();
  const server = await started(t, { stateDir });
  const ada = await connected(t, server.url);
  await ask(ada, "join", room);
  await ask(ada, "message", { room, text: "1" });
  const file = join(await newStateDir(), "backup.db");
  await parlour("backup", file, "--state-dir", stateDir);
  // Everything is in the database file, not in its log, which would mend the pages.
  await server.stop();
  await (await started(t, { stateDir })).kill9();
  await overwrite(join(stateDir, DATABASE));

  const up = ["up", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir];
  assert.match(await refused(...up), /sqlite_db\.db is malformed: .*`parlour restore`.*--allow-malformed-database/);

  await parlour("restore", file, "--state-dir", stateDir);
  const restored = await started(t, { stateDir });
  assert.deepEqual(await texts(await connected(t, restored.url), room), [1]);
});

test("a state directory has one `parlour up`", async (t) => {
  const stateDir = await newStateDir();
  const server = await started(t, { stateDir });
  const up = ["up", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir];
  assert.match(await refused(...up), /another `parlour up` \(process \d+\) uses the state directory .*--state-dir/);
  await ask(await connected(t, server.url), "rooms");
  await server.kill9();
  await ask(await connected(t, (await started(t, { stateDir })).url), "rooms");
});

test("the state directory and its files are for their owner alone", async (t) => {
  const stateDir = join(await newStateDir(), "state");
  const server = await started(t, { stateDir });
  await ask(await connected(t, server.url), "rooms");
  assert.equal((await stat(stateDir)).mode & 0o777, 0o700);
  const entries = await readdir(stateDir, { withFileTypes: true, recursive: true });
  assert.ok(entries.length > 5, `${entries.map(({ name }) => name)}`);
  for (const entry of entries) {
    const mode = (await stat(join(entry.parentPath ?? entry.path, entry.name))).mode & 0o777;
    assert.equal(mode, entry.isDirectory() ? 0o700 : 0o600, entry.name);
  }
});
