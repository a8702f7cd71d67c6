// Nobody holds the others up: not a client that joins without end, not a crowd that comes or leaves.
// Counted is what a flood gets done while others wait for their turn; the clock is not looked at. That one
// client has only its share of a batch is shown where batches can be held: crates/relay/tests/relay/backpressure.rs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask, connected, newRoom, next, nextFew, stayedConnected, unread } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { enterRaw } from "./harness/raw.mjs";

/** Events that one socket may have in a batch that waits (docs/relay-protocol.md). */
const SHARE = 256;

let server;
before(async () => void (server = await startUp()));
after(() => server.stop());

/** Makes a client join and leave a room, always with as many events under way; counts what is done. */
function flood(socket, room, width = 2 * SHARE) {
  const flood = { done: 0, isOver: false };
  const again = (event) => {
    if (flood.isOver || !socket.connected) return;
    socket.emit(event, room, () => {
      flood.done += 1;
      again(event === "join" ? "leave" : "join");
    });
  };
  for (let n = 0; n < width; n++) again("join");
  return flood;
}

/** Waits until a flood has done so much more. */
async function progress(flood, more) {
  const until = flood.done + more;
  while (flood.done < until) await new Promise((later) => setTimeout(later, 5));
}

/** A room with many in it: to join it is not cheap. @returns {Promise<string>} */
async function crowd(t, size) {
  const room = newRoom("crowd");
  for (let n = 0; n < size; n += 50) {
    await Promise.all(Array.from({ length: 50 }, async () => ask(await connected(t, server.url), "join", room)));
  }
  return room;
}

describe("fairness", () => {
  test("a client that joins without end does not starve another namespace", async (t) => {
    const room = await crowd(t, 100);
    const flooder = await connected(t, server.url);
    const member = await connected(t, server.url, { namespace: "/members", auth: { token: await server.token() } });
    await ask(member, "join", "general");
    const joins = flood(flooder, room);
    await progress(joins, 2 * SHARE);

    const before = joins.done;
    const trips = 50;
    for (let n = 0; n < trips; n++) {
      const { error } = await ask(member, "message", { room: "general", text: `${n}` });
      assert.equal(error, undefined);
    }
    const meanwhile = joins.done - before;
    joins.isOver = true;

    // One batch of the flood is under way when the message comes, and few more while SQLite looks for its lock.
    assert.ok(meanwhile <= trips * 4 * SHARE, `${meanwhile} joins and leaves were done during ${trips} messages`);
    t.diagnostic(`${meanwhile} joins and leaves during ${trips} messages in /members`);
    stayedConnected(member);
    stayedConnected(flooder);
  });

  test("a crowd that leaves at once is gone at once, and those who talk go on", async (t) => {
    const [size, room, quiet] = [1000, newRoom("left"), newRoom("quiet")];
    const watcher = await connected(t, server.url);
    await ask(watcher, "join", room);
    const [ada, ben] = [await connected(t, server.url), await connected(t, server.url)];
    for (const socket of [ada, ben]) await ask(socket, "join", quiet);
    const crowd = [];
    while (crowd.length < size) {
      const some = await Promise.all(Array.from({ length: 100 }, () => enterRaw(t, server.url)));
      for (const raw of some) raw.send(`420["join",${JSON.stringify(room)}]`);
      await Promise.all(some.map((raw) => raw.until((frame) => frame.startsWith("430["))));
      crowd.push(...some);
    }
    assert.equal((await ask(watcher, "members", { room })).count, size + 1);
    const joined = await nextFew(watcher, "joined", size);

    for (const raw of crowd) raw.ws.terminate();
    const talk = Array.from({ length: 20 }, (_, n) => ask(ada, "message", { room: quiet, text: `${n}` }));
    const acks = await Promise.all(talk);
    assert.deepEqual(acks.filter(({ error }) => error), []);
    assert.deepEqual((await nextFew(ben, "message", 20)).map(({ text }) => text), talk.map((_, n) => `${n}`));

    const left = await nextFew(watcher, "left", size);
    const ids = (events) => events.map(({ member }) => member.id).sort();
    assert.deepEqual(ids(left), ids(joined), "each has left once");
    const { members, count } = await ask(watcher, "members", { room });
    assert.deepEqual([count, members.length], [1, 1]);
    assert.deepEqual(unread(watcher, "left"), []);
    for (const socket of [watcher, ada, ben]) stayedConnected(socket);
  });

  test("a crowd that joins an empty room at once is told who is there, page by page", async (t) => {
    const [size, room] = [600, newRoom("joined")];
    const crowd = [];
    while (crowd.length < size) {
      crowd.push(...(await Promise.all(Array.from({ length: 100 }, () => enterRaw(t, server.url)))));
    }
    for (const raw of crowd) raw.send(`420["join",${JSON.stringify(room)}]`);
    const frames = await Promise.all(crowd.map((raw) => raw.until((frame) => frame.startsWith("430["))));
    const ack = (read) => read.find((frame) => frame.startsWith("430["));
    const answers = frames.map((read) => JSON.parse(ack(read).slice("430".length))[0]);

    const watcher = await connected(t, server.url);
    const last = await ask(watcher, "join", room);
    assert.equal(last.count, size + 1);
    for (const { members, count } of answers) {
      assert.ok(members.length === Math.min(count, 101) || members.length === Math.min(count, 100), `${members.length} of ${count}`);
    }
    assert.deepEqual(answers.map(({ count }) => count).sort((a, b) => a - b), Array.from({ length: size }, (_, n) => n + 1));
    const ids = new Set(last.members.map(({ id }) => id));
    for (let after = last.next; after !== undefined; ) {
      const page = await ask(watcher, "members", { room, after });
      page.members.forEach(({ id }) => ids.add(id));
      after = page.next;
    }
    assert.equal(ids.size, size + 1);
  });
});
