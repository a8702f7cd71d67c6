// What outlives the process: rooms, history, secrets. And what must not: members that are gone.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, client, connected, newRoom, next, unread } from "./harness/clients.mjs";
import { filesBelow, freePort, newStateDir, startPair, startUp } from "./harness/parlour.mjs";
import { enterRaw } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

const DATABASE = "sqlite_db.db";

/** Starts a server that is stopped when the test ends, if it has not been before. */
async function started(t, start, options) {
  const server = await start(options);
  t.after(() => server.kill9());
  return server;
}

for (const [what, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  test(`history is kept over a restart of everything: ${what}`, async (t) => {
    const room = newRoom();
    const stateDir = await newStateDir();
    const before = await started(t, start, { stateDir });
    const ada = await connected(t, before.url, { auth: { name: "Ada" } });
    await ask(ada, "join", room);
    for (let n = 0; n < 5; n++) await ask(ada, "message", { room, text: `${n}` });
    const { messages: said } = await ask(ada, "join", room);
    ada.disconnect();
    await before.stop();

    const after = await started(t, start, { stateDir });
    const ben = await connected(t, after.url, { auth: { name: "Ben" } });
    const joined = await ask(ben, "join", room);

    assert.equal(said.length, 5);
    assert.deepEqual(joined.messages, said);
    assert.deepEqual(joined.members.map(({ name }) => name), ["Ben"]);
    assert.deepEqual((await ask(ben, "rooms")).find(({ name }) => name === room), { name: room, members: 1, messages: 5 });
    await after.stop();
  });
}

test("what was acked is there after kill -9, and there are no ghosts among the members", async (t) => {
  const room = newRoom();
  const stateDir = await newStateDir();
  const before = await started(t, startUp, { stateDir });
  const ada = await connected(t, before.url, { auth: { name: "Ada" }, reconnection: false });
  const ben = await connected(t, before.url, { auth: { name: "Ben" }, reconnection: false });
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  const acked = [];
  const talking = (async () => {
    for (let n = 0; ; n++) acked.push((await ask(ada, "message", { room, text: `${n}` })).id);
  })().catch(() => {});
  for (let n = 0; n < 30; n++) await next(ben, "message");

  await before.kill9();
  ada.disconnect();
  await talking;
  const heard = unread(ben, "message").map(({ id }) => id);

  const after = await started(t, startUp, { stateDir });
  const cora = await connected(t, after.url, { auth: { name: "Cora" } });
  const { members } = await ask(cora, "join", room);
  const kept = (await ask(cora, "history", { room, limit: 100 })).map(({ id }) => id);
  let page = kept;
  while (page.length > 0) {
    page = (await ask(cora, "history", { room, limit: 100, before: page[0] })).map(({ id }) => id);
    kept.unshift(...page);
  }
  assert.deepEqual(members.map(({ name }) => name), ["Cora"]);
  assert.ok(acked.length >= 30);
  assert.deepEqual(acked.filter((id) => !kept.includes(id)), [], "acked and lost");
  assert.deepEqual(heard.filter((id) => !kept.includes(id)), [], "heard and lost");
  assert.equal(new Set(kept).size, kept.length);
});

test("a message repeated after a restart is still the same message", async (t) => {
  const room = newRoom();
  const stateDir = await newStateDir();
  const auth = { name: "Ada", key: "a-key-that-outlives-the-process" };
  const message = { room, text: "did this arrive?", id: "only-once" };
  const before = await started(t, startUp, { stateDir });
  const ada = await connected(t, before.url, { auth, reconnection: false });
  await ask(ada, "join", room);
  const first = await ask(ada, "message", message);
  await before.kill9();

  const after = await started(t, startUp, { stateDir });
  const again = await connected(t, after.url, { auth });
  await ask(again, "join", room);

  assert.deepEqual(await ask(again, "message", message), first);
  assert.equal((await ask(again, "history", { room })).length, 1);
});

describe("SIGTERM", () => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    test(`${signal}: clients get a proper close, the process ends well, the database is checkpointed`, async (t) => {
      const room = newRoom();
      const server = await started(t, startUp);
      const ada = await connected(t, server.url, { reconnection: false });
      const ben = await connected(t, server.url, { reconnection: false, transports: ["polling"] });
      const raw = await enterRaw(t, server.url);
      for (const socket of [ada, ben]) await ask(socket, "join", room);
      for (let n = 0; n < 50; n++) await ask(ada, "message", { room, text: `${n}` });

      const [end, { code }] = await Promise.all([raw.closed(), server.stop(/** @type {any} */ (signal))]);

      assert.equal(code, 0, server.logs.slice(-2000));
      assert.notEqual(end.code, 1006, "the WebSocket is closed, not cut off");
      assert.equal(await next(ada, "disconnect"), "transport close");
      assert.match(await next(ben, "disconnect"), /^transport (close|error)$/);
      const database = join(server.stateDir, DATABASE);
      assert.ok((await stat(database)).size > 0);
      const log = `${database}-wal`;
      assert.ok(!existsSync(log) || (await stat(log)).size === 0, "the write-ahead log is empty or gone");
    });
  }

  test("closes a WebSocket as Socket.IO's server does when it closes", async (t) => {
    const server = await started(t, startUp);
    const reference = await startReference();
    const raws = [await enterRaw(t, server.url), await enterRaw(t, reference.url)];

    await Promise.all([server.stop(), reference.stop()]);

    const [ours, theirs] = await Promise.all(raws.map((raw) => raw.closed()));
    assert.deepEqual(ours, theirs);
  });

  test("clients come back by themselves when the server does", async (t) => {
    const room = newRoom();
    const listen = `127.0.0.1:${await freePort()}`;
    const stateDir = await newStateDir();
    const before = await started(t, startUp, { stateDir, listen });
    const ada = await connected(t, before.url, { auth: { name: "Ada" } });
    await ask(ada, "join", room);
    await before.stop();
    await next(ada, "disconnect");

    await started(t, startUp, { stateDir, listen });

    await next(ada, "connect");
    assert.deepEqual((await ask(ada, "join", room)).members.map(({ name }) => name), ["Ada"]);
  });
});

describe("secrets", () => {
  test("are made once, kept for their owner alone, and tokens stay good over a restart", async (t) => {
    const stateDir = await newStateDir();
    const before = await started(t, startUp, { stateDir });
    const token = await before.token({ sub: "ada", name: "Ada" });
    const enter = async ({ url }) => connected(t, url, { namespace: "/members", auth: { token }, reconnection: false });
    await enter(before);
    const kept = (await filesBelow(stateDir)).filter((file) => /secret/.test(file));
    assert.ok(kept.length > 0, "there is a file of secrets");
    for (const file of kept) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
    await before.stop();

    const after = await started(t, startUp, { stateDir });
    await enter(after);
  });

  test("differ from one state directory to the next", async (t) => {
    const [one, other] = [await started(t, startUp), await started(t, startUp)];
    const stranger = client(t, other.url, { namespace: "/members", auth: { token: await one.token() } });
    assert.equal((await next(stranger, "connect_error")).data.code, "invalid_token");
  });
});
