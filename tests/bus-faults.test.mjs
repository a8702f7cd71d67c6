// What several relays are to their clients when the broker between them, its cables or a relay fail, when there is no
// broker, and when their set-up is wrong.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newBroker, startBroker } from "./harness/broker.mjs";
import { PATIENCE, ask, client, connected, newRoom, next, unread } from "./harness/clients.mjs";
import { Process, newStateDir, secrets, startUp, within } from "./harness/parlour.mjs";
import { assertInOrder, deploy, logged, manifest, plain, recorded, say, settled, trySay } from "./harness/relays.mjs";
import { startWire } from "./harness/wire.mjs";

test("the broker's cables are cut now and then and slow: everyone hears the same, and nobody is disconnected", async (t) => {
  const broker = await startBroker(t);
  const { relay } = await deploy(t, broker);
  const cables = [await startWire(t, broker.url, { delay: 30 }), await startWire(t, broker.url, { delay: 5 })];
  const relays = [];
  for (const { url } of cables) relays.push(await relay({ bus: `nats://127.0.0.1:${new URL(url).port}` }));
  const room = newRoom();
  const [a, b] = await Promise.all(relays.map(({ url }) => connected(t, url)));
  for (const socket of [a, b]) await ask(socket, "join", [room]);
  const heard = [a, b].map(recorded);
  const COUNT = 600;
  let said = 0;
  const talk = async (socket, name) => {
    for (let n = 0; n < COUNT; n++) {
      await say(socket, { to: [room] }, `${name} ${n}`);
      if (++said % 150 === 0) cables[(said / 150) % 2].cut();
    }
  };
  await Promise.all([talk(a, "a"), talk(b, "b")]);
  await settled(a, [a, b], room);
  assertInOrder(heard[0], ["a", "b"], COUNT);
  assert.deepEqual(heard[1], heard[0]);
  for (const socket of [a, b]) assert.deepEqual(unread(socket, "disconnect"), []);
});

test("a relay that is killed costs no client of another relay its connection, and nothing that it had committed", async (t) => {
  const broker = await startBroker(t);
  const { relay } = await deploy(t, broker);
  const two = await relay();
  const d = await connected(t, two.url);
  const room = newRoom();
  await ask(d, "join", [room]);
  const everything = recorded(d);
  const acked = [];
  for (let round = 0; round < 4; round++) {
    const one = await relay({ id: "one" });
    const b = await connected(t, one.url, { reconnection: false });
    const wire = await startWire(t, one.url);
    const mover = await connected(t, wire.url);
    await ask(mover, "join", [room]);
    const since = everything.length;
    const heard = recorded(mover);
    const speak = async (socket, text) => {
      if (await trySay(socket, { to: [room] }, text)) acked.push(text);
    };
    const speaking = Array.from({ length: 60 }, (_, n) => speak(n % 2 ? b : d, `${round}.${n}`));
    await speaking[20 + 5 * round];
    wire.server = two.url;
    await one.kill9();
    await next(mover, "disconnect");
    b.disconnect();
    await next(mover, "connect");
    assert.equal(mover.recovered, true);
    await Promise.all(speaking);
    await settled(d, [d, mover], room);
    assert.deepEqual(heard, everything.slice(since));
    mover.disconnect();
  }
  assert.deepEqual(acked.filter((text) => !everything.includes(text)), []);
  assert.equal(new Set(everything).size, everything.length, "nobody hears anything twice");
  assert.deepEqual(unread(d, "disconnect"), []);
});

test("what a relay that is killed had committed and not told is heard, although nobody says anything after it", async (t) => {
  const broker = await startBroker(t);
  const { relay } = await deploy(t, broker);
  const cable = await startWire(t, broker.url);
  const [mute, two] = [await relay({ bus: `nats://127.0.0.1:${new URL(cable.url).port}` }), await relay()];
  const [a, b] = [await connected(t, mute.url, { reconnection: false }), await connected(t, two.url)];
  const room = newRoom();
  for (const socket of [a, b]) await ask(socket, "join", [room]);
  await say(a, { to: [room] }, "hello");
  assert.equal(await next(b, "said"), "hello");
  cable.mute();
  await say(a, { to: [room] }, "my last word");
  await mute.kill9();
  assert.equal(await next(b, "said"), "my last word");
  assert.deepEqual(unread(b, "disconnect"), []);
});

test("relays start before the broker does, say so, and are one server already, only slower", async (t) => {
  const broker = await newBroker(t);
  const { relay } = await deploy(t, broker);
  const relays = [await relay(), await relay()];
  const [a, b] = await Promise.all(relays.map(({ url }) => connected(t, url)));
  const room = newRoom();
  for (const socket of [a, b]) await ask(socket, "join", [room]);
  for (const it of relays) await logged(it, /ERROR no connection to other relays.* broker="?127\.0\.0\.1:\d+/);
  await say(a, { to: [room] }, "without a broker");
  for (const socket of [a, b]) assert.equal(await next(socket, "said"), "without a broker");

  await broker.start();

  for (const it of relays) await logged(it, /other relays are heard, by the broker/);
  await settled(a, [a, b], room);
  assert.deepEqual([a, b].flatMap((socket) => [...unread(socket, "said"), ...unread(socket, "disconnect")]), []);
});

test("relays without a bus are one server, if they are told of each other", async (t) => {
  const { relay } = await deploy(t, { url: undefined });
  const args = ["--relays-without-bus=50"];
  const relays = [await relay({ args, bus: null }), await relay({ args, bus: null })];
  const [a, b] = await Promise.all(relays.map(({ url }) => connected(t, url)));
  const room = newRoom();
  for (const socket of [a, b]) await ask(socket, "join", [room]);
  const heard = [a, b].map(recorded);
  const COUNT = 100;
  const talk = async (socket, name) => {
    for (let n = 0; n < COUNT; n++) await say(socket, { to: [room] }, `${name} ${n}`);
  };
  await Promise.all([talk(a, "a"), talk(b, "b")]);
  await settled(a, [a, b], room);
  assertInOrder(heard[0], ["a", "b"], COUNT);
  assert.deepEqual(heard[1], heard[0]);
  // So do acknowledgements.
  b.on("question", (ack) => ack("yes"));
  for (const asker of [a, b]) {
    await ask(asker, "ask", 10_000, { whom: { to: [b.id, a.id], except: [a.id] }, event: "question" });
    const answers = await new Promise((resolve) => asker.once("answers", (replies, missing) => resolve([replies, missing])));
    assert.deepEqual(answers, [[[b.id, ["yes"]]], []]);
  }
  // What one does to a socket of the other stands in the same log.
  await ask(a, "sockets-leave", { to: [b.id] }, [room]);
  await say(a, { to: [room] }, "not for b");
  await ask(a, "sockets-join", { to: [b.id] }, [room]);
  await say(a, { to: [room] }, "for both");
  assert.equal(await next(b, "said", (text) => text === "for both"), "for both");
  assert.ok(!heard[1].includes("not for b"));
  await ask(a, "disconnect-sockets", { to: [b.id] }, false);
  assert.equal(await next(b, "disconnect"), "io server disconnect");
});

test("two `parlour up` with one database are one server as well, by the environment's URL", async (t) => {
  const broker = await startBroker(t, 'max_payload: 4MB\nauthorization { user: ann, password: "p@ss:word" }');
  const env = { ...secrets(), PARLOUR_BUS: `nats://ann:p%40ss%3Aword@${broker.address}` };
  const stateDir = await newStateDir();
  const start = async (id) => {
    const args = ["--relay-id", id, "--bus-subject", "our.relays"];
    const server = await startUp({ manifest, stateDir, env, args });
    t.after(() => server.kill9());
    return server;
  };
  const servers = [await start("left"), await start("right")];
  const [a, b] = await Promise.all(servers.map(({ url }) => connected(t, url)));
  const room = newRoom();
  for (const socket of [a, b]) await ask(socket, "join", [room]);
  await say(a, { to: [room] }, "hello");
  assert.equal(await next(b, "said"), "hello");
  for (const server of servers) assert.ok(!/p@ss|p%40ss/.test(server.logs));
});

describe("what is wrong is said at the start", () => {
  /** Starts a relay that must end by itself. */
  const fails = async (t, env, args = []) => {
    const stateDir = await newStateDir();
    const all = ["relay", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", ...args];
    const relay = new Process(all, stateDir, { ...secrets(), ...env });
    t.after(() => relay.kill9());
    const { code } = await within(PATIENCE, relay.exited, () => `it goes on: ${relay.logs}`);
    assert.equal(code, 1, relay.logs);
    assert.ok(!relay.logs.includes("secret"), relay.logs);
    return plain(relay.stderr);
  };

  test("a URL that is none", async (t) => {
    for (const url of ["http://ann:secret@127.0.0.1", "nats://ann:secret@host:port"]) {
      assert.match(await fails(t, { PARLOUR_BUS: url }), /the bus needs a URL such as nats:\/\/127\.0\.0\.1:4222/);
    }
    assert.match(await fails(t, { PARLOUR_BUS: "nats://127.0.0.1" }, ["--bus-subject", "a b"]), /cannot begin a subject/);
  });

  test("a password that is wrong", async (t) => {
    const broker = await startBroker(t, 'max_payload: 4MB\nauthorization { user: ann, password: "right" }');
    const error = await fails(t, { PARLOUR_BUS: `nats://ann:secret@${broker.address}` });
    assert.match(error, /the bus at 127\.0\.0\.1:\d+ cannot be used: it does not accept the user and password/);
  });

  test("a broker that takes only small messages", async (t) => {
    const broker = await startBroker(t, "max_payload: 1MB");
    assert.match(await fails(t, { PARLOUR_BUS: broker.url }), /takes only 1048576 bytes .* set max_payload to at least 4MB/);
  });
});
