// Connection state recovery, better than the original: an unmodified client that lost its connection has its
// session back, its rooms and what it missed, whatever it was that failed. What users of Socket.IO have found
// broken there is named by the number of its report.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, newRoom, next, nextFew, unread } from "./harness/clients.mjs";
import { ROOT, freePort, newStateDir, secrets, startApp, startPair, startRelay, startUp, token } from "./harness/parlour.mjs";
import { startWire } from "./harness/wire.mjs";

const manifest = join(ROOT, "tests/features/spin.toml");

/** Emits from the server to a room. */
const say = (socket, room, ...args) => ask(socket, "emit", { whom: { to: [room] }, event: "said", args });

/** Loses its connection as clients do: the transport is gone, nobody said goodbye. */
const drop = (socket) => socket.io.engine.close();

/** Waits until it is connected again, and says whether it is the same socket as before. */
async function back(socket) {
  await next(socket, "connect");
  return socket.recovered;
}

/** A client in a room, with a second one that stays. */
async function room(t, url, options) {
  const name = newRoom();
  const [socket, other] = [await connected(t, url, options), await connected(t, options?.elsewhere ?? url)];
  for (const each of [socket, other]) await ask(each, "join", [name]);
  return { name, socket, other, id: socket.id };
}

for (const [how, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  describe(how, () => {
    let server;
    before(async () => void (server = await start({ manifest })));
    after(() => server.stop());

    for (const transports of [["websocket"], ["polling"]]) {
      test(`over ${transports}: the same id, rooms and data, and what was missed, in order and before connect`, async (t) => {
        const { name, socket, other, id } = await room(t, server.url, { transports });
        await ask(socket, "set-data", { like: "this" });
        await say(other, name, "seen");
        await next(socket, "said");
        const order = [];
        socket.on("said", (text) => order.push(text));
        socket.on("connect", () => order.push("connect"));
        socket.io.reconnection(false);

        drop(socket);
        await next(socket, "disconnect");
        for (const text of ["one", "two", "three"]) await say(other, name, text);
        await say(other, newRoom("elsewhere"), "not for them");
        await ask(other, "emit", { event: "said", args: ["for all"] });
        await ask(other, "emit", { whom: { to: [id] }, event: "said", args: ["for one"] });
        await ask(other, "emit", { whom: { to: [name], except: [id] }, event: "said", args: ["for others"] });
        await ask(other, "emit", { whom: { to: [name] }, flags: ["volatile"], event: "said", args: ["volatile"] });
        socket.connect();

        assert.equal(await back(socket), true);
        assert.equal(socket.id, id);
        assert.deepEqual(order, ["one", "two", "three", "for all", "for one", "connect"]);
        const about = await ask(socket, "about");
        assert.deepEqual([about.id, about.rooms, about.data], [id, [name], { like: "this" }]);
        await say(other, name, "after");
        assert.equal(await next(socket, "said", (text) => text === "after"), "after");
        const { length } = unread(socket, "said").filter((text) => text === "after");
        assert.equal(length, 0, "once");
      });
    }

    for (const transports of [["websocket"], ["polling"]]) {
      test(`over ${transports}: a client that wants no offsets has none, no session, and nobody else notices`, async (t) => {
        const { name, socket, other, id } = await room(t, server.url, { transports, auth: { offset: false } });
        assert.equal(socket._pid, undefined);
        assert.equal(typeof other._pid, "string");
        const heard = [];
        for (const each of [socket, other]) each.on("said", (...args) => each === socket && heard.push(args));
        await say(other, name, "to a room");
        await ask(other, "emit", { event: "said", args: ["to all", 1] });
        await ask(other, "emit", { whom: { to: [id] }, event: "said", args: [] });
        // Who polls is not always there to be sent what may be lost.
        const isThere = transports[0] === "websocket";
        if (isThere) await ask(other, "emit", { whom: { to: [name] }, flags: ["volatile"], event: "said", args: ["volatile"] });
        await ask(socket, "about");
        assert.deepEqual(heard, [["to a room"], ["to all", 1], [], ...(isThere ? [["volatile"]] : [])]);
        assert.equal(socket._lastOffset, undefined);
        assert.match(other._lastOffset, /^\d+$/);

        drop(socket);
        await next(socket, "disconnect");
        await say(other, name, "missed");
        assert.ok(!(await back(socket)));
        assert.notEqual(socket.id, id);
        assert.equal(socket._pid, undefined);
        await ask(socket, "about");
        assert.ok(!unread(socket, "said").includes("missed"));
      });
    }

    test("a client that had received no event yet (#4888)", async (t) => {
      const socket = await connected(t, server.url);
      const id = socket.id;
      const other = await connected(t, server.url);
      assert.equal(socket._lastOffset, undefined);

      drop(socket);
      await next(socket, "disconnect");
      await ask(other, "emit", { whom: { to: [id] }, event: "said", args: ["while you were away"] });

      assert.equal(await back(socket), true);
      assert.equal(socket.id, id);
      assert.equal(await next(socket, "said"), "while you were away");
    });

    test("what was replayed is not replayed again: the offset moves on (#5419)", async (t) => {
      const { name, socket, other } = await room(t, server.url);
      socket.io.reconnection(false);
      drop(socket);
      await next(socket, "disconnect");
      await say(other, name, "missed once");
      socket.connect();
      assert.equal(await back(socket), true);
      await next(socket, "said");

      for (let round = 0; round < 3; round++) {
        drop(socket);
        await next(socket, "disconnect");
        socket.connect();
        assert.equal(await back(socket), true);
      }

      await ask(socket, "about");
      assert.deepEqual(unread(socket, "said"), []);
    });

    test("again and again: no gap, no duplicate, the same socket (#4880, #5413)", async (t) => {
      const { name, socket, other, id } = await room(t, server.url);
      const expected = [];
      for (let round = 0; round < 6; round++) {
        drop(socket);
        for (let n = 0; n < 5; n++) {
          expected.push(`${round}.${n}`);
          other.emit("emit", { whom: { to: [name] }, event: "said", args: [`${round}.${n}`] });
        }
        assert.equal(await back(socket), true, `round ${round}`);
      }
      await ask(other, "about");
      assert.equal(socket.id, id);
      assert.deepEqual(await nextFew(socket, "said", expected.length), expected);
      assert.deepEqual(unread(socket, "said"), []);
    });

    test("a volatile event that ends with a text does not spoil the offset (#5539)", async (t) => {
      const { name, socket, other } = await room(t, server.url);
      await say(other, name, "seen");
      await next(socket, "said");
      await ask(other, "emit", { flags: ["volatile"], event: "status", args: ["online"] });
      assert.equal(await next(socket, "status"), "online");
      await ask(other, "emit", { flags: ["volatile"], event: "bare" });
      await next(socket, "bare");

      drop(socket);
      await next(socket, "disconnect");
      await say(other, name, "missed");

      assert.equal(await back(socket), true);
      assert.equal(await next(socket, "said"), "missed");
      assert.deepEqual(unread(socket, "said"), []);
    });

    test("binary that was missed arrives as binary", async (t) => {
      const { name, socket, other } = await room(t, server.url);
      const picture = { name: "a.png", bytes: Buffer.from([1, 2, 3, 255]) };
      drop(socket);
      await next(socket, "disconnect");
      await say(other, name, picture);
      assert.equal(await back(socket), true);
      assert.deepEqual(await next(socket, "said"), picture);
    });

    test("what was missed of rooms that were joined and left is what was for the socket then", async (t) => {
      const { name, socket, other } = await room(t, server.url);
      const [later, left] = [newRoom("later"), newRoom("left")];
      await say(other, later, "before it joined");
      await ask(socket, "join", [later, left]);
      await ask(socket, "leave", left);
      drop(socket);
      await next(socket, "disconnect");
      await say(other, left, "after it left");
      await say(other, later, "in it");
      await say(other, name, "in the first");
      assert.equal(await back(socket), true);
      assert.deepEqual(await nextFew(socket, "said", 2), ["in it", "in the first"]);
      assert.deepEqual(unread(socket, "said"), []);
    });

    test("a client that leaves by itself begins anew, and so does one whose secret is wrong", async (t) => {
      const { name, socket, other, id } = await room(t, server.url);
      socket.disconnect();
      await say(other, name, "not for who left");
      socket.connect();
      assert.equal(await back(socket), false);
      assert.notEqual(socket.id, id);
      assert.deepEqual((await ask(socket, "about")).rooms, []);

      socket._pid = "guessed-by-somebody-";
      drop(socket);
      assert.equal(await back(socket), false);
    });

    test("a client that the server disconnects begins anew", async (t) => {
      const { socket, id } = await room(t, server.url);
      socket.emit("disconnect-me", false);
      assert.equal(await next(socket, "disconnect"), "io server disconnect");
      socket.connect();
      assert.equal(await back(socket), false);
      assert.notEqual(socket.id, id);
    });

    test("the others hear it go and come, and the server knows that it is the same", async (t) => {
      const watcher = await connected(t, server.url);
      await ask(watcher, "join", ["watchers"]);
      const { name, socket, id } = await room(t, server.url);
      const heard = [];
      watcher.on("saw", (...args) => args[1] === id && heard.push(args.slice(0, args.length - 1)));
      drop(socket);
      assert.equal(await back(socket), true);
      await ask(watcher, "about");
      assert.deepEqual(heard, [
        ["disconnecting", id, [name], "transport close"],
        ["disconnect", id, [], "transport close"],
        ["connect", id, true],
      ]);
      const members = await ask(watcher, "fetch-sockets", { to: [name] });
      assert.equal(members.filter((member) => member.id === id).length, 1);
    });

    test("a client in two namespaces has both sessions back", async (t) => {
      const { name, socket, other } = await room(t, server.url);
      const dynamic = socket.io.socket("/dynamic-1", {});
      t.after(() => void dynamic.disconnect());
      await new Promise((resolve) => dynamic.once("connect", resolve));
      const ids = [socket.id, dynamic.id];
      drop(socket);
      const connected = new Promise((resolve) => dynamic.once("connect", resolve));
      await say(other, name, "missed");
      assert.equal(await back(socket), true);
      await connected;
      assert.equal(dynamic.recovered, true);
      assert.deepEqual([socket.id, dynamic.id], ids);
      assert.equal(await next(socket, "said"), "missed");
    });
  });
}

describe("middleware", () => {
  const enter = async (t, server) => {
    const auth = { token: await server.token({ sub: "ada", name: "Ada" }) };
    return connected(t, server.url, { namespace: "/guarded", auth });
  };

  test("does not judge a socket that comes back, by default", async (t) => {
    const server = await startUp({ manifest });
    t.after(() => server.kill9());
    const socket = await enter(t, server);
    const { claims } = await ask(socket, "about");
    socket.auth = { token: "no longer good" };
    drop(socket);
    assert.equal(await back(socket), true);
    assert.deepEqual((await ask(socket, "about")).claims, claims);

    // But a session that cannot be recovered lets nobody past it.
    socket._pid = "guessed-by-somebody-";
    drop(socket);
    assert.equal((await next(socket, "connect_error")).data.code, "invalid_token");
  });

  test("judges again where it is told to", async (t) => {
    const server = await startUp({ manifest, args: ["--variable", "recovery_skip_middlewares=false"] });
    t.after(() => server.kill9());
    const socket = await enter(t, server);
    const good = socket.auth;
    drop(socket);
    assert.equal(await back(socket), true);
    socket.auth = { token: "no longer good" };
    drop(socket);
    assert.equal((await next(socket, "connect_error")).data.code, "invalid_token");
    socket.auth = good;
    socket.connect();
    assert.equal(await back(socket), true);
  });
});

describe("limits", () => {
  test("after its time a session is over, and the client is told", async (t) => {
    const server = await startUp({ manifest, args: ["--variable", "recovery_duration=300ms"] });
    t.after(() => server.kill9());
    const { name, socket, other, id } = await room(t, server.url, { reconnectionDelay: 1500, reconnectionDelayMax: 1500 });
    drop(socket);
    await next(socket, "disconnect");
    await say(other, name, "missed");
    assert.equal(await back(socket), false);
    assert.notEqual(socket.id, id);
    await ask(socket, "about");
    assert.deepEqual(unread(socket, "said"), []);
  });

  test("without recovery there is no secret, no offset, and every connection is a new socket", async (t) => {
    const server = await startUp({ manifest, args: ["--variable", "recovery_duration=none"] });
    t.after(() => server.kill9());
    const { name, socket, other, id } = await room(t, server.url);
    const args = new Promise((resolve) => socket.once("said", (...all) => resolve(all)));
    await say(other, name, "alone");
    assert.deepEqual(await args, ["alone"]);
    assert.equal(socket._pid, undefined);
    drop(socket);
    assert.ok(!(await back(socket)));
    assert.notEqual(socket.id, id);
  });

  test("a variable that is wrong is named, and nobody enters", async (t) => {
    const env = secrets();
    const app = await startApp({ manifest, env, args: ["--variable", "recovery_duration=2 minutes"] });
    t.after(() => app.kill9());
    const relay = await startRelay({ origin: app.url, env });
    t.after(() => relay.kill9());
    const socket = client(t, relay.url, { reconnection: false });
    await next(socket, "connect_error");
    assert.match(app.logs, /recovery_duration is \\?"2 minutes\\?"/);
  });
});

describe("what fails", () => {
  /** An app and a relay that can be ended and started again where they were. */
  async function deploy(t, { args = [] } = {}) {
    const env = secrets();
    const stateDir = await newStateDir();
    const [listen, relayListen] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    const it = {
      url: `http://${relayListen}`,
      env,
      stateDir,
      async startApp() {
        it.app = await startApp({ stateDir, listen, env, manifest });
      },
      async startRelay() {
        it.relay = await startRelay({ origin: it.app.url, env, stateDir, listen: relayListen, args });
      },
    };
    await it.startApp();
    await it.startRelay();
    t.after(() => (it.app.kill9(), it.relay.kill9()));
    return it;
  }

  /** A client loses its connection while `fail` happens (which says if others lose theirs); it misses nothing. */
  async function survives(t, it, fail) {
    const { name, socket, other, id } = await room(t, it.url);
    await say(other, name, "before");
    await next(socket, "said");
    await next(other, "said");
    const otherId = other.id;
    for (let round = 0; round < 2; round++) {
      const sayIt = async () => void (await say(other, name, `missed ${round}`));
      const otherLeft = await fail(sayIt, socket);
      assert.equal(await back(socket), true, "recovered");
      assert.equal(socket.id, id);
      assert.equal(await next(socket, "said"), `missed ${round}`);
      if (otherLeft) await next(other, "connect");
      assert.equal(other.id, otherId);
      assert.equal(await next(other, "said"), `missed ${round}`);
    }
    assert.deepEqual((await ask(socket, "about")).rooms, [name]);
    await say(other, name, "after");
    assert.equal(await next(socket, "said"), "after");
    assert.deepEqual(unread(socket, "said"), []);
    assert.deepEqual(await ask(socket, "history", name), ["before", "missed 0", "missed 1", "after"]);
  }

  test("the app is killed while a client is away", async (t) => {
    const it = await deploy(t);
    await survives(t, it, async (say, socket) => {
      drop(socket);
      await next(socket, "disconnect");
      await say();
      await it.app.kill9();
      await it.startApp();
    });
  });

  test("the relay is killed, and all its clients come back", async (t) => {
    const it = await deploy(t);
    await survives(t, it, async (say, socket) => {
      // What was sent before the relay died may or may not have arrived: nobody knows but the client.
      await say();
      await it.relay.kill9();
      await next(socket, "disconnect");
      await it.startRelay();
      return true;
    });
  });

  test("the app and the relay are killed", async (t) => {
    const it = await deploy(t);
    await survives(t, it, async (say, socket) => {
      drop(socket);
      await next(socket, "disconnect");
      await say();
      await Promise.all([it.app.kill9(), it.relay.kill9()]);
      await it.startApp();
      await it.startRelay();
      return true;
    });
  });

  test("everything is stopped and started again", async (t) => {
    const stateDir = await newStateDir();
    const listen = `127.0.0.1:${await freePort()}`;
    let server = await startUp({ manifest, stateDir, listen });
    t.after(() => server.kill9());
    const { name, socket, id } = await room(t, server.url);
    await ask(socket, "emit", { whom: { to: [name] }, event: "said", args: ["before"] });
    await next(socket, "said");
    await server.stop();
    server = await startUp({ manifest, stateDir, listen });
    assert.equal(await back(socket), true);
    assert.equal(socket.id, id);
    assert.deepEqual((await ask(socket, "about")).rooms, [name]);
  });

  test("a cable is cut and the server does not notice: the client's new connection takes over (#4880)", async (t) => {
    const it = await deploy(t, { args: ["--ping-interval", "300", "--ping-timeout", "200"] });
    const wire = await startWire(t, it.url);
    const { name, socket, other, id } = await room(t, wire.url, { elsewhere: it.url });
    const watcher = await connected(t, it.url);
    await ask(watcher, "join", ["watchers"]);
    for (let round = 0; round < 3; round++) {
      wire.cut();
      await next(socket, "disconnect");
      await say(other, name, `missed ${round}`);
      assert.equal(await back(socket), true, `round ${round}`);
      assert.equal(socket.id, id);
      assert.equal(await next(socket, "said"), `missed ${round}`);
    }
    // Long after the lost connections have timed out, nothing has happened to the socket.
    const pings = new Promise((resolve) => {
      let count = 0;
      socket.io.engine.on("ping", () => ++count === 5 && resolve(undefined));
    });
    await pings;
    await say(other, name, "still here");
    assert.equal(await next(socket, "said"), "still here");
    assert.deepEqual(unread(watcher, "saw").filter((what) => what.startsWith("disconnect")), []);
    const members = await ask(other, "fetch-sockets", { to: [name] });
    assert.deepEqual(members.map((member) => member.id).sort(), [id, other.id].sort());
  });

  test("an event that its client sends again and again, while the app hangs and the line breaks, happens once", async (t) => {
    const it = await deploy(t);
    const watcher = await connected(t, it.url);
    const socket = await connected(t, it.url, { retries: 50, ackTimeout: 100 });
    let sent = 0;
    socket.io.engine.on("packetCreate", ({ data }) => void (sent += String(data).includes('"order"')));
    const order = { id: newRoom("order"), by: "ada" };

    it.app.child.kill("SIGSTOP");
    const answered = socket.emitWithAck("order", order);
    while (sent < 3) await new Promise((resolve) => socket.io.engine.once("packetCreate", resolve));
    drop(socket);
    await next(socket, "disconnect");
    it.app.child.kill("SIGCONT");
    const answer = await answered;

    assert.equal(answer.order, order.id);
    await ask(watcher, "about");
    assert.deepEqual(unread(watcher, "ordered"), [order.id]);
    assert.deepEqual(await socket.emitWithAck("order", order), answer, "the first answer");
    await ask(watcher, "about");
    assert.deepEqual(unread(watcher, "ordered"), [order.id]);
  });

  test("a client comes back at another relay", async (t) => {
    const it = await deploy(t);
    const second = await startRelay({ origin: it.app.url, env: it.env });
    t.after(() => second.kill9());
    const wire = await startWire(t, it.url);
    const { name, socket, other, id } = await room(t, wire.url, { elsewhere: second.url });
    for (const url of [second.url, it.url, second.url]) {
      wire.server = url;
      wire.cut();
      await next(socket, "disconnect");
      await ask(other, "emit", { whom: { to: [name] }, event: "said", args: [url] });
      assert.equal(await back(socket), true);
      assert.equal(socket.id, id);
      assert.equal(await next(socket, "said"), url);
    }
    const members = await ask(other, "fetch-sockets", { to: [name] });
    assert.deepEqual(members.map((member) => member.id).sort(), [id, other.id].sort());
  });
});
