// Several relays in front of one app are one server: what one is told reaches the clients of all, by a real
// broker. Whatever happens to that, everybody hears everything once, and in one and the same order.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startBroker } from "./harness/broker.mjs";
import { ask, client, connected, newRoom, next, nextFew, sibling, unread } from "./harness/clients.mjs";
import { assertInOrder, deploy, logged, recorded, say, settled } from "./harness/relays.mjs";
import { startWire } from "./harness/wire.mjs";

describe("two relays", () => {
  let one, two;
  const cleanup = [];
  before(async () => {
    const t = { after: (done) => cleanup.unshift(done) };
    const broker = await startBroker(t);
    const { relay } = await deploy(t, broker);
    [one, two] = [await relay(), await relay()];
  });
  after(async () => {
    for (const done of cleanup) await done();
  });

  /** Two clients of each, in a room. */
  async function four(t) {
    const room = newRoom();
    const [a, b, c, d] = await Promise.all([one, one, two, two].map(({ url }) => connected(t, url)));
    for (const socket of [a, b, c, d]) await ask(socket, "join", [room]);
    return { room, a, b, c, d };
  }

  test("an event for everyone, rooms, all but some or all but the sender reaches the clients of both, once and in order", async (t) => {
    const { room, a, b, c, d } = await four(t);
    const other = newRoom();
    await ask(d, "join", [other]);
    for (const [from, side] of [[a, "one"], [c, "two"]]) {
      await say(from, {}, `${side}: everyone`);
      await say(from, { to: [room] }, `${side}: room`);
      await say(from, { to: [room, other] }, `${side}: two rooms`);
      await say(from, { to: [room], except: [other] }, `${side}: room but d`);
      await say(from, { to: [room], except: [b.id] }, `${side}: room but b`);
      await say(from, { to: [d.id] }, `${side}: d`);
      await say(from, { to: [room], others: true }, `${side}: room but me`);
      await settled(from, [a, b, c, d], room);
    }
    const expected = (who, but) => ["one", "two"].flatMap((side) => [
      `${side}: everyone`, `${side}: room`, `${side}: two rooms`,
      ...(who === "d" ? [] : [`${side}: room but d`]),
      ...(who === "b" ? [] : [`${side}: room but b`]),
      ...(who === "d" ? [`${side}: d`] : []),
      ...(side === but ? [] : [`${side}: room but me`]),
    ]);
    assert.deepEqual(unread(a, "said"), expected("a", "one"));
    assert.deepEqual(unread(b, "said"), expected("b"));
    assert.deepEqual(unread(c, "said"), expected("c", "two"));
    assert.deepEqual(unread(d, "said"), expected("d"));
  });

  test("a session that is used at the other relay stays with its owner while that is there", async (t) => {
    const { room, a, c } = await four(t);
    for (const owner of [a, c]) {
      const thief = client(t, owner === a ? two.url : one.url, { autoConnect: false });
      /** @type {any} */ (thief)._pid = /** @type {any} */ (owner)._pid;
      thief.connect();
      await next(thief, "connect");
      assert.equal(thief.recovered, false);
      assert.notEqual(thief.id, owner.id);
      assert.deepEqual((await ask(owner, "about")).rooms, [room]);
      assert.deepEqual(unread(owner, "disconnect"), []);
    }
  });

  test("sockets of the other relay join, leave and are disconnected", async (t) => {
    const { room, a, b, c, d } = await four(t);
    const later = newRoom("later");
    await ask(a, "sockets-join", { to: [d.id] }, [later]);
    await say(a, { to: [later] }, "from one");
    assert.equal(await next(d, "said"), "from one");
    await say(c, { to: [later] }, "from two");
    assert.equal(await next(d, "said"), "from two");
    assert.deepEqual((await ask(d, "about")).rooms.sort(), [later, room].sort());

    await ask(b, "sockets-leave", { to: [room], except: [a.id, b.id, c.id] }, [room]);
    await settled(a, [a, b, c], room);
    assert.deepEqual((await ask(d, "about")).rooms, [later]);

    await ask(a, "join", ["watchers"]);
    const goes = (id) => next(a, "saw", (what, who) => what === "disconnect" && who === id);
    const ids = [d.id, c.id];
    await ask(a, "disconnect-sockets", { to: [later] }, false);
    assert.equal(await next(d, "disconnect"), "io server disconnect");
    await ask(a, "disconnect-sockets", { to: [c.id] }, true);
    assert.equal(await next(c, "disconnect"), "io server disconnect");
    for (const id of ids) await goes(id);
    const members = await ask(a, "fetch-sockets", { to: [room] });
    assert.deepEqual(members.map(({ id }) => id).sort(), [a.id, b.id].sort());
    assert.deepEqual([a, b, c, d].map((socket) => unread(socket, "said")), [[], [], [], []]);
  });

  test("sockets are fetched from either side", async (t) => {
    const { room, a, b, c, d } = await four(t);
    await ask(d, "set-data", { name: "Dan" });
    const everyone = [a, b, c, d].map(({ id }) => id).sort();
    for (const from of [a, c]) {
      const found = await ask(from, "fetch-sockets", { to: [room] });
      assert.deepEqual(found.map(({ id }) => id).sort(), everyone);
      assert.deepEqual(found.find(({ id }) => id === d.id).data, { name: "Dan" });
    }
  });

  test("binary arrives as binary", async (t) => {
    const { room, a, c } = await four(t);
    const picture = { name: "a.png", bytes: Buffer.from([0, 1, 2, 255]), more: [Buffer.alloc(0)] };
    await say(a, { to: [room] }, picture);
    for (const socket of [a, c]) assert.deepEqual(await next(socket, "said"), picture);
    const large = Buffer.alloc(900_000, 7);
    await say(c, { to: [room] }, large);
    assert.ok(large.equals(await next(a, "said")));
  });

  test("an event for another namespace reaches it on both relays", async (t) => {
    const { a, c } = await four(t);
    const [near, far] = [sibling(t, a, "/dynamic-77"), sibling(t, c, "/dynamic-77")];
    for (const socket of [near, far]) await next(socket, "connect");
    await ask(a, "emit-elsewhere", "/dynamic-77", { event: "said", args: ["from /"] });
    for (const socket of [near, far]) assert.equal(await next(socket, "said"), "from /");
  });

  test("the clients of both relays are asked for acknowledgements, and one of them wherever it is", async (t) => {
    const { room, a, b, c, d } = await four(t);
    const told = (socket) => next(socket, "answers");
    a.on("question", (text, answer) => answer(`${text} a`));
    b.on("question", () => {});
    c.on("question", (text, answer) => answer(Buffer.from(text)));
    d.on("question", () => d.disconnect());
    const [b_id, d_id] = [b.id, d.id];
    let heard;
    a.on("answers", (replies, missing) => (heard = [replies, missing]));
    await ask(a, "ask", 1000, { whom: { to: [room] }, event: "question", args: ["what?"] });
    await told(a);
    const [replies, missing] = heard;
    assert.deepEqual(Object.fromEntries(replies), { [a.id]: ["what? a"], [c.id]: [Buffer.from("what?")] });
    assert.deepEqual(missing.sort(), [b_id, d_id].sort());

    await ask(a, "ask", 60_000, { whom: { to: [c.id] }, event: "question", args: ["you?"] });
    await told(a);
    assert.deepEqual(heard, [[[c.id, [Buffer.from("you?")]]], []]);
  });

  test("what is local stays with its relay", async (t) => {
    const { room, a, b, c, d } = await four(t);
    await ask(a, "emit", { whom: { to: [room] }, flags: ["local"], event: "said", args: ["here"] });
    await settled(a, [a, b, c, d], room);
    assert.deepEqual([a, b, c, d].map((socket) => unread(socket, "said")), [["here"], ["here"], [], []]);
  });

  test("a hundred messages from both sides at once: everyone hears them in one order, none twice", async (t) => {
    const COUNT = 100;
    const { room, a, b, c, d } = await four(t);
    const polling = await connected(t, two.url, { transports: ["polling"] });
    await ask(polling, "join", [room]);
    const everyone = [a, b, c, d, polling];
    for (let n = 0; n < COUNT; n++) {
      for (const [from, name] of [[a, "a"], [d, "d"]]) {
        from.emit("emit", { whom: { to: [room] }, event: "said", args: [`${name} ${n}`] });
      }
    }
    const [first, ...others] = await Promise.all(everyone.map((socket) => nextFew(socket, "said", 2 * COUNT)));
    assertInOrder(first, ["a", "d"], COUNT);
    for (const heard of others) assert.deepEqual(heard, first);
    await settled(a, everyone, room);
    assert.deepEqual(everyone.flatMap((socket) => unread(socket, "said")), []);
  });

  test("a client that moves from one relay to the other hears what was said meanwhile, once and in order", async (t) => {
    const { room, b, d } = await four(t);
    const wire = await startWire(t, one.url);
    const mover = await connected(t, wire.url);
    await ask(mover, "join", [room]);
    const id = mover.id;
    const [heard, stayed] = [recorded(mover), recorded(b)];
    const speak = (text) => Promise.all([b, d].map((from) => say(from, { to: [room] }, text)));
    for (let round = 0; round < 6; round++) {
      wire.server = round % 2 ? one.url : two.url;
      await speak(`${round} before`);
      for (let n = 0; n < 2; n++) await next(mover, "said", (text) => text === `${round} before`);
      wire.cut();
      await next(mover, "disconnect");
      const speaking = speak(`${round} while it moves`);
      await next(mover, "connect");
      assert.equal(mover.recovered, true);
      assert.equal(mover.id, id);
      await speak(`${round} after`);
      await speaking;
    }
    await settled(b, [mover, b], room);
    assert.equal(stayed.length, 6 * 3 * 2 + 1);
    assert.deepEqual(heard, stayed);
  });

  test("who joins hears nothing from before its join", async (t) => {
    const { room, a, d } = await four(t);
    const late = await connected(t, two.url);
    const heard = recorded(late);
    for (let round = 0; round < 30; round++) {
      const speaking = Array.from({ length: 5 }, (_, n) => say(a, { to: [room] }, `${round}.${n} before`));
      await Promise.all(speaking);
      // The other relay may not have heard yet.
      const joining = ask(late, "join", [room]);
      await joining;
      await say(a, { to: [room] }, `${round} after`);
      await next(late, "said", (text) => text === `${round} after`);
      await ask(late, "leave", room);
    }
    assert.deepEqual(heard, Array.from({ length: 30 }, (_, round) => `${round} after`));
    assert.equal(d.connected, true);
  });
});

for (const [what, step] of [
  ["loses its connection", 0],
  ["changes over to the other relay", 1],
]) {
  test(`a client that ${what} while messages flow from both sides hears each once and in order, if the bus is slow, too`, async (t) => {
    const broker = await startBroker(t);
    const { relay } = await deploy(t, broker);
    const { port } = new URL((await startWire(t, broker.url, { delay: 30 })).url);
    const bus = `nats://127.0.0.1:${port}`;
    const servers = [await relay({ bus }), await relay({ bus })].map(({ url }) => url);
    const [b, d] = await Promise.all(servers.map((url) => connected(t, url)));
    const wire = await startWire(t, servers[0]);
    const socket = await connected(t, wire.url);
    const room = newRoom();
    for (const member of [socket, b, d]) await ask(member, "join", [room]);
    const [heard, ...stayed] = [socket, b, d].map(recorded);
    for (let round = 0; round < 12; round++) {
      wire.server = servers[((round + 1) * step) % 2];
      const said = Array.from({ length: 40 }, (_, n) => say(n % 2 ? b : d, { to: [room] }, `${round}.${n}`));
      await said[(7 * round) % 40];
      wire.cut();
      await next(socket, "disconnect");
      await Promise.all(said);
      await next(socket, "connect");
      assert.equal(socket.recovered, true);
    }
    await settled(b, [socket, b, d], room);
    assert.equal(stayed[0].length, 12 * 40 + 1);
    assert.deepEqual(stayed[1], stayed[0]);
    assert.deepEqual(heard, stayed[0]);
  });
}

for (const [what, away, back] of [
  ["is killed and comes back", (broker) => broker.kill9(), (broker) => broker.start()],
  ["does not answer for a while", (broker) => broker.freeze(), (broker) => broker.thaw()],
]) {
  test(`the broker ${what} while messages flow: nobody is disconnected, and everyone hears the same`, async (t) => {
    const broker = await startBroker(t);
    const { relay } = await deploy(t, broker);
    const relays = [await relay(), await relay()];
    const room = newRoom();
    const people = await Promise.all([...relays, ...relays].map(({ url }) => connected(t, url)));
    people.push(await connected(t, relays[0].url, { transports: ["polling"] }));
    for (const socket of people) await ask(socket, "join", [room]);
    const heard = people.map(recorded);

    let talking = true;
    const counts = {};
    const talk = async (socket, name) => {
      for (counts[name] = 0; talking; counts[name]++) await say(socket, { to: [room] }, `${name} ${counts[name]}`);
    };
    const [first, second] = await Promise.all(relays.map(({ url }) => connected(t, url)));
    const speaking = [talk(first, "first"), talk(second, "second")];
    /** Waits for so many more from either side, at the clients of each side. */
    const more = (count) => Promise.all([nextFew(people[0], "said", count), nextFew(people[1], "said", count)]);
    await more(40);
    await away(broker);
    await Promise.all(relays.map((it) => logged(it, /WARN the broker is away/)));
    await more(100);
    const since = relays.map((it) => it.stderr.length);
    await back(broker);
    await Promise.all(relays.map((it, index) => logged(it, /other relays are heard, by the broker/, since[index])));
    await more(40);
    talking = false;
    await Promise.all(speaking);
    await settled(first, people, room);

    assertInOrder(heard[0], ["first"], counts.first);
    assertInOrder(heard[0], ["second"], counts.second);
    for (const other of heard) assert.deepEqual(other, heard[0]);
    for (const socket of [...people, first, second]) assert.deepEqual(unread(socket, "disconnect"), []);
  });
}
