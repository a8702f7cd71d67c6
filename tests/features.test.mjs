// Every feature of Socket.IO's server, asked for by unmodified clients of an application that does what they ask
// (tests/features). docs/compatibility.md names these tests.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, newRoom, next, nextFew, sibling, stayedConnected, unread } from "./harness/clients.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";
import { enterRaw, openPolling } from "./harness/raw.mjs";

const manifest = join(ROOT, "tests/features/spin.toml");

let server;
// Without recovery, so that arguments are just what was emitted.
before(async () => void (server = await startUp({ manifest, args: ["--variable", "recovery_duration=none"] })));
after(() => server.stop());

const enter = (t, options) => connected(t, server.url, options);

/** Several clients, each in a room of its own and all in one. */
async function hall(t, count) {
  const name = newRoom("hall");
  const sockets = [];
  for (let n = 0; n < count; n++) {
    const socket = await enter(t);
    await ask(socket, "join", [name, `${name}-${n}`]);
    sockets.push(socket);
  }
  return { name, sockets };
}

const emit = (socket, order) => ask(socket, "emit", order);

/** All arguments of what each of the clients heard of that event, once everything sent so far has arrived. */
async function heard(sockets, event) {
  const counts = [];
  for (const socket of sockets) {
    await ask(socket, "about");
    counts.push(unread(socket, event).length);
  }
  return counts;
}

describe("emitting", () => {
  test("to all, to rooms, except rooms, except the sender: each client once", async (t) => {
    const { name, sockets } = await hall(t, 4);
    const [ada, ben] = sockets;
    const own = (n) => `${name}-${n}`;
    for (const [whom, expected] of [
      [{ to: [name] }, [1, 1, 1, 1]],
      [{ to: [name], others: true }, [0, 1, 1, 1]],
      [{ to: [own(1), own(2)] }, [0, 1, 1, 0]],
      [{ to: [name, own(1), own(1)] }, [1, 1, 1, 1]],
      [{ to: [name], except: [own(1), own(3)] }, [1, 0, 1, 0]],
      [{ to: [name], others: true, except: [own(2)] }, [0, 1, 0, 1]],
      [{ to: [own(0)], and: [own(1), own(3)], except: [own(3), "x"] }, [1, 1, 0, 0]],
      [{ to: [ben.id] }, [0, 1, 0, 0]],
      [{ to: [ben.id, own(3)] }, [0, 1, 0, 1]],
      [{ to: [name], except: [ben.id] }, [1, 0, 1, 1]],
      [{ to: [newRoom("empty")] }, [0, 0, 0, 0]],
      [{}, [1, 1, 1, 1]],
      [{ others: true }, [0, 1, 1, 1]],
      [{ others: true, except: [own(1)] }, [0, 0, 1, 1]],
      [{ except: [name] }, [0, 0, 0, 0]],
    ]) {
      const event = `event ${JSON.stringify(whom)}`;
      await emit(ada, { whom, event, args: [1] });
      assert.deepEqual(await heard(sockets, event), expected, event);
    }
  });

  test("any number of arguments of any kind, to one client", async (t) => {
    const socket = await enter(t);
    const args = [1, "two", { three: [4, null] }, Buffer.from([5]), true];
    const got = new Promise((resolve) => socket.once("hello", (...all) => resolve(all)));
    await ask(socket, "emit-to-me", { event: "hello", args });
    assert.deepEqual(await got, args);
  });

  test("send and write are `message`", async (t) => {
    const socket = await enter(t);
    await ask(socket, "send", "hello");
    assert.deepEqual(await nextFew(socket, "message", 4), ["to one", "to one", "to all", "to all"].map((whom) => `hello ${whom}`));
  });

  test("volatile, local and compress are flags that can be combined", async (t) => {
    const { name, sockets } = await hall(t, 2);
    for (const flags of [["volatile"], ["local"], ["compress"], ["volatile", "local", "compress"]]) {
      const event = `event ${flags}`;
      await emit(sockets[0], { whom: { to: [name] }, flags, event, args: ["x"] });
      assert.equal(await next(sockets[1], event), "x");
    }
  });

  test("volatile and compress are flags of one socket, too", async (t) => {
    const { sockets } = await hall(t, 2);
    for (const flags of [["volatile"], ["compress"]]) {
      const event = `own ${flags}`;
      await ask(sockets[0], "emit-to-me", { flags, event, args: ["x"] });
      assert.deepEqual(await heard(sockets, event), [1, 0]);
    }
  });

  test("what is volatile is lost for a client between two polls, what is not waits for it", async (t) => {
    const other = await enter(t);
    const polling = await openPolling(server.url);
    await polling.post("40");
    const { sid } = JSON.parse((await polling.poll()).body.slice(2));
    const say = (event, flags) => emit(other, { whom: { to: [sid] }, flags, event });

    await say("lost", ["volatile"]);
    await say("kept", []);
    assert.equal((await polling.poll()).body, '42["kept"]');

    // Nobody tells when the relay has the next poll.
    let answered = false;
    const poll = polling.poll().finally(() => (answered = true));
    while (!answered) await say("in time", ["volatile"]);
    assert.match((await poll).body, /^42\["in time"\]/);
  });

  test("to another namespace: to all of it, to a room of it", async (t) => {
    const socket = await enter(t);
    const [one, two] = [sibling(t, socket, "/dynamic-7"), await connected(t, server.url, { namespace: "/dynamic-7" })];
    await next(one, "connect");
    const room = newRoom();
    await ask(two, "join", [room]);
    await ask(socket, "emit-elsewhere", "/dynamic-7", { event: "hello", args: ["all"] });
    await ask(socket, "emit-elsewhere", "/dynamic-7", { whom: { to: [room] }, event: "hello", args: ["room"] });
    assert.deepEqual([await next(two, "hello"), await next(two, "hello")], ["all", "room"]);
    assert.equal(await next(one, "hello"), "all");
    assert.deepEqual(await heard([one, two, socket], "hello"), [0, 0, 0]);
    await ask(socket, "emit-elsewhere", "/nobody-is-there", { event: "hello", args: [] });
    await ask(two, "emit-elsewhere", "/", { whom: { to: [socket.id] }, event: "hello", args: ["main"] });
    assert.equal(await next(socket, "hello"), "main");
  });

  test("a reserved name is an error of the server's own code", async (t) => {
    const socket = await enter(t);
    for (const event of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      const { error } = await emit(socket, { event, args: [] });
      assert.equal(error.code, "internal", event);
    }
    stayedConnected(socket);
  });
});

describe("acknowledgements", () => {
  const answers = (socket) => new Promise((resolve) => socket.once("answers", (...all) => resolve(all)));

  test("of many: the answers, and who gave none in time or left", async (t) => {
    const { name, sockets } = await hall(t, 4);
    const [ada, ben, cora, dan] = sockets;
    ada.on("question", (text, answer) => answer(`${text} ada`, 1));
    ben.on("question", (text, answer) => answer(Buffer.from(text)));
    cora.on("question", () => {});
    dan.on("question", () => dan.disconnect());
    const ids = [ada.id, ben.id, cora.id, dan.id];
    const told = answers(ada);
    await ask(ada, "ask", 400, { whom: { to: [name] }, event: "question", args: ["what?"] });
    const [replies, missing] = await told;
    assert.deepEqual(Object.fromEntries(replies), { [ids[0]]: ["what? ada", 1], [ids[1]]: [Buffer.from("what?")] });
    assert.deepEqual(missing.sort(), [ids[2], ids[3]].sort());
  });

  test("of everyone but the sender", async (t) => {
    const { name, sockets } = await hall(t, 2);
    sockets[0].on("question", () => assert.fail("the sender is not asked"));
    sockets[1].on("question", (answer) => answer());
    const told = answers(sockets[0]);
    await ask(sockets[0], "ask", 5000, { whom: { to: [name], others: true }, event: "question" });
    assert.deepEqual(await told, [[[sockets[1].id, []]], []]);
  });

  test("of everyone in the namespace", async (t) => {
    const sockets = [await enter(t, { namespace: "/dynamic-31" }), await enter(t, { namespace: "/dynamic-31" })];
    (await enter(t)).on("question", () => assert.fail("who is elsewhere is not asked"));
    for (const socket of sockets) socket.on("question", (answer) => answer("here"));
    const told = answers(sockets[0]);
    await ask(sockets[0], "ask", 5000, { event: "question" });
    const [replies, missing] = await told;
    assert.deepEqual(Object.fromEntries(replies), Object.fromEntries(sockets.map(({ id }) => [id, ["here"]])));
    assert.deepEqual(missing, []);
  });

  test("an answer that comes too late is not heard", async (t) => {
    const socket = await enter(t);
    let late;
    socket.on("question", (answer) => (late = answer));
    const told = answers(socket);
    await ask(socket, "ask", 50, { whom: { to: [socket.id] }, event: "question" });
    assert.deepEqual(await told, [[], [socket.id]]);
    late("too late");
    await ask(socket, "about");
    assert.deepEqual(unread(socket, "answers").length, 1);
    stayedConnected(socket);
  });
});

describe("rooms", () => {
  test("a socket is in a room of its own, joins several at once, and knows them", async (t) => {
    const socket = await enter(t);
    assert.match(socket.id ?? "", /^[\w-]{20}$/);
    assert.deepEqual(await ask(socket, "join", ["a", "b", "a", socket.id]), ["a", "b"]);
    assert.deepEqual(await ask(socket, "leave", "a"), ["b"]);
    assert.deepEqual(await ask(socket, "leave", socket.id), ["b"]);
    await emit(socket, { whom: { to: [socket.id] }, event: "hello", args: [1] });
    assert.equal(await next(socket, "hello"), 1);
  });

  test("fetchSockets: ids, data and rooms of those in a room, of all but some, of one", async (t) => {
    const { name, sockets } = await hall(t, 3);
    await ask(sockets[1], "set-data", { name: "Ben" });
    const fetch = async (whom) => (await ask(sockets[0], "fetch-sockets", whom)).sort((a, b) => a.id.localeCompare(b.id));
    const about = (n, data = null) => ({ id: sockets[n].id, data, rooms: [name, `${name}-${n}`] });
    const sorted = (list) => list.sort((a, b) => a.id.localeCompare(b.id));
    assert.deepEqual(await fetch({ to: [name] }), sorted([about(0), about(1, { name: "Ben" }), about(2)]));
    assert.deepEqual(await fetch({ to: [name], others: true }), sorted([about(1, { name: "Ben" }), about(2)]));
    assert.deepEqual(await fetch({ to: [name, `${name}-2`], except: [`${name}-1`] }), sorted([about(0), about(2)]));
    assert.deepEqual(await fetch({ to: [sockets[1].id] }), [about(1, { name: "Ben" })]);
    const all = (await fetch({})).map(({ id }) => id);
    for (const { id } of sockets) assert.ok(all.includes(id));
  });

  test("socketsJoin and socketsLeave move many at once", async (t) => {
    const { name, sockets } = await hall(t, 3);
    const other = newRoom("other");
    const own = await ask(sockets[0], "sockets-join", { to: [name], except: [`${name}-1`] }, [other, `${other}-too`]);
    assert.deepEqual(own, [name, `${name}-0`, other, `${other}-too`]);
    await emit(sockets[1], { whom: { to: [other] }, event: "in", args: [] });
    assert.deepEqual(await heard(sockets, "in"), [1, 0, 1]);
    assert.deepEqual((await ask(sockets[2], "about")).rooms, [name, `${name}-2`, other, `${other}-too`]);
    await ask(sockets[1], "sockets-leave", { to: [other], except: [sockets[0].id] }, [other]);
    await emit(sockets[1], { whom: { to: [other] }, event: "left", args: [] });
    assert.deepEqual(await heard(sockets, "left"), [1, 0, 0]);
    const members = await ask(sockets[1], "fetch-sockets", { to: [other] });
    assert.deepEqual(members.map(({ id }) => id), [sockets[0].id]);
  });

  test("disconnectSockets ends the sockets of a room, or their whole connections", async (t) => {
    const { name, sockets } = await hall(t, 3);
    const [ada, ben, cora] = sockets;
    const second = sibling(t, ben, "/dynamic-1");
    await next(second, "connect");
    await ask(ada, "disconnect-sockets", { to: [`${name}-1`] }, false);
    assert.equal(await next(ben, "disconnect"), "io server disconnect");
    await ask(second, "about");

    const third = sibling(t, cora, "/dynamic-1");
    await next(third, "connect");
    cora.io.reconnection(false);
    await ask(ada, "disconnect-sockets", { to: [name], others: true }, true);
    assert.equal(await next(cora, "disconnect"), "io server disconnect");
    assert.equal(await next(third, "disconnect"), "io server disconnect");
    assert.deepEqual((await ask(ada, "fetch-sockets", { to: [name] })).map(({ id }) => id), [ada.id]);
  });

  test("without rooms, they are for everyone in the namespace", async (t) => {
    const here = [await enter(t, { namespace: "/dynamic-32" }), await enter(t, { namespace: "/dynamic-32" })];
    const elsewhere = await enter(t);
    const rooms = async (socket) => (await ask(socket, "about")).rooms;
    const found = async (socket) => (await ask(socket, "fetch-sockets", {})).map(({ id }) => id).sort();
    assert.deepEqual(await found(here[0]), here.map(({ id }) => id).sort());
    await ask(here[0], "sockets-join", {}, ["a", "b"]);
    await ask(here[0], "sockets-leave", {}, ["a"]);
    for (const socket of here) assert.deepEqual(await rooms(socket), ["b"]);
    assert.deepEqual(await rooms(elsewhere), []);
    here[1].emit("disconnect-sockets", {}, false);
    for (const socket of here) assert.equal(await next(socket, "disconnect"), "io server disconnect");
    await ask(elsewhere, "about");
    stayedConnected(elsewhere);
  });

  test("each socket that was fetched can be emitted to, moved and disconnected", async (t) => {
    const { name, sockets } = await hall(t, 3);
    const [ada, ben, cora] = sockets;
    const remote = (what) => ask(ada, "remote", { to: [name], except: [cora.id] }, what);
    await remote({ emit: ["hello"] });
    assert.deepEqual(await heard(sockets, "remote"), [1, 1, 0]);
    await remote({ join: ["x", "y"] });
    await remote({ leave: ["x", `${name}-0`, `${name}-1`] });
    for (const socket of [ada, ben]) assert.deepEqual((await ask(socket, "about")).rooms, [name, "y"]);
    assert.deepEqual((await ask(cora, "about")).rooms, [name, `${name}-2`]);
    ada.emit("remote", { to: ["y"] }, { disconnect: false });
    for (const socket of [ada, ben]) assert.equal(await next(socket, "disconnect"), "io server disconnect");
    await ask(cora, "about");
    stayedConnected(cora);
  });

  test("disconnecting still knows the rooms, disconnect does not, and both know why", async (t) => {
    const watcher = await enter(t);
    await ask(watcher, "join", ["watchers"]);
    const reasons = {
      "client namespace disconnect": (socket) => socket.disconnect(),
      "server namespace disconnect": (socket) => socket.emit("disconnect-me", false),
      "transport close": (socket) => (socket.io.reconnection(false), socket.io.engine.close()),
      "forced close": (socket) => (socket.io.reconnection(false), socket.io.engine.transport.ws.send("4nonsense")),
      "parse error": (socket) => (socket.io.reconnection(false), socket.io.engine.transport.ws.send("x")),
    };
    for (const [reason, leave] of Object.entries(reasons)) {
      const room = newRoom();
      const socket = await enter(t);
      const id = socket.id;
      await ask(socket, "join", [room]);
      const seen = [];
      const both = new Promise((resolve) => {
        watcher.on("saw", function listen(...what) {
          if (what[1] !== id || what[0] === "connect") return;
          if (seen.push(what) === 2) resolve(watcher.off("saw", listen));
        });
      });
      leave(socket);
      await both;
      assert.deepEqual(seen, [["disconnecting", id, [room], reason], ["disconnect", id, [], reason]]);
    }
  });
});

describe("namespaces", () => {
  test("a pattern is as many namespaces as clients ask for, each its own", async (t) => {
    const [one, two] = [await enter(t, { namespace: "/dynamic-1" }), await enter(t, { namespace: "/dynamic-22" })];
    assert.equal((await ask(one, "about")).nsp, "/dynamic-1");
    assert.equal((await ask(two, "about")).nsp, "/dynamic-22");
    const room = newRoom();
    for (const socket of [one, two]) await ask(socket, "join", [room]);
    await emit(one, { whom: { to: [room] }, event: "said", args: ["hello"] });
    assert.deepEqual(await heard([one, two], "said"), [1, 0]);
    assert.deepEqual([await ask(one, "history", room), await ask(two, "history", room)], [["hello"], []]);
  });

  test("a name that no pattern fits is an invalid namespace", async (t) => {
    for (const namespace of ["/dynamic-", "/dynamic-1x", "/x/dynamic-1", "/tenant-A", "/nowhere"]) {
      const socket = client(t, server.url, { namespace });
      assert.equal((await next(socket, "connect_error")).message, "Invalid namespace");
    }
  });

  test("a pattern has middleware as a name has, and its claims", async (t) => {
    const token = await server.token({ sub: "ada", name: "Ada" });
    const stranger = client(t, server.url, { namespace: "/tenant-acme" });
    assert.equal((await next(stranger, "connect_error")).data.code, "missing_token");
    const ada = await enter(t, { namespace: "/tenant-acme", auth: { token } });
    const { nsp, claims } = await ask(ada, "about");
    assert.deepEqual([nsp, claims.sub], ["/tenant-acme", "ada"]);
  });

  test("a name comes before a pattern that it fits", async (t) => {
    const stranger = client(t, server.url, { namespace: "/dynamic-0" });
    assert.equal((await next(stranger, "connect_error")).data.code, "missing_token");
  });

  test("a handler can decide, by its name and `auth`, whether a namespace is there", async (t) => {
    const there = await enter(t, { namespace: "/workspace-a", auth: { workspace: "a" } });
    assert.equal((await ask(there, "about")).nsp, "/workspace-a");
    for (const auth of [{ workspace: "b" }, {}]) {
      const socket = client(t, server.url, { namespace: "/workspace-a", auth });
      assert.equal((await next(socket, "connect_error")).message, "Invalid namespace");
    }
  });

  test("the connect handler can refuse, with data", async (t) => {
    const socket = client(t, server.url, { extraHeaders: { "x-refuse": "1" } });
    const error = await next(socket, "connect_error");
    assert.deepEqual([error.message, error.data], ["not you", { why: "x-refuse" }]);
    assert.equal(socket.connected, false);
  });
});

describe("events", () => {
  test("middleware for events sees each first, and can stop it", async (t) => {
    const socket = await enter(t);
    const { error } = await ask(socket, "forbidden");
    assert.deepEqual(error, { code: "forbidden", message: "this event is not for you" });
    socket.emit("seen", 1, Buffer.from("b"));
    const args = await new Promise((resolve) => socket.once("seen", (...all) => resolve(all)));
    assert.deepEqual(args, ["seen", [1, Buffer.from("b")]]);
  });

  test("a catch-all listener hears of every event that comes as far, and of no acknowledgement", async (t) => {
    const socket = await enter(t);
    await ask(socket, "set-data", "listening");
    const all = [];
    socket.on("any", (...args) => all.push(args));
    socket.on("question", (answer) => answer("an answer"));
    socket.emit("no handler", 1, Buffer.from("b"));
    assert.equal((await ask(socket, "forbidden")).error.code, "forbidden");
    await ask(socket, "ask", 5000, { whom: { to: [socket.id] }, event: "question" });
    await next(socket, "answers");
    await ask(socket, "echo", 2);
    assert.deepEqual(all.map(([event]) => event), ["no handler", "ask", "echo"]);
    assert.deepEqual(all[0], ["no handler", [1, Buffer.from("b")]]);
  });

  test("a handler that fails answers its sender, and nobody else notices", async (t) => {
    const { name, sockets } = await hall(t, 2);
    const { error } = await ask(sockets[0], "fail", name);
    assert.deepEqual(error, { code: "failed", message: "as you wished" });
    sockets[0].emit("fail", name);
    assert.deepEqual(await heard(sockets, "said"), [0, 0]);
    assert.deepEqual((await ask(sockets[0], "about")).rooms, [name, `${name}-0`]);
    sockets.forEach(stayedConnected);
  });

  test("a handler that panics answers its sender, and hurts nobody else", async (t) => {
    const { sockets } = await hall(t, 4);
    const others = sockets.slice(1).map((socket, n) => Promise.all(Array.from({ length: 20 }, () => ask(socket, "echo", n))));
    const { error } = await ask(sockets[0], "panic");
    assert.equal(error.code, "internal");
    await Promise.all(others);
    assert.equal(await ask(sockets[0], "echo", "still here"), "still here");
    sockets.forEach(stayedConnected);
  });

  test("a retried event runs its handler once and gets the first answer", async (t) => {
    const [ada, ben] = [await enter(t, { retries: 5, ackTimeout: 5000 }), await enter(t)];
    const order = { id: newRoom("order"), by: "ada" };
    const first = await ada.emitWithAck("order", order);
    const again = await ada.emitWithAck("order", order);
    assert.deepEqual(again, first);
    assert.deepEqual(await heard([ben], "ordered"), [1]);
    // The same id of somebody else is another order.
    await ask(ben, "order", { ...order, by: "ben" });
    assert.deepEqual(await heard([ben], "ordered"), [2]);
  });

  test("an order that is sent again on a new connection is the same order", async (t) => {
    const order = { id: newRoom("order"), by: "ada" };
    const ada = await enter(t);
    const first = await ask(ada, "order", order);
    ada.disconnect();
    const later = await enter(t);
    assert.deepEqual(await ask(later, "order", order), first);
    assert.notEqual(later.id, first.socket);
  });

  test("events named by numbers, odd names and no arguments reach the handlers or nobody", async (t) => {
    const raw = await enterRaw(t, server.url);
    raw.send('42[5,"x"]', '42["__proto__"]', '42["constructor",1]', '42["\\u0065cho"]', '421["\\u0065cho",7]');
    const [answer] = (await raw.until((frame) => frame.startsWith("43"))).slice(-1);
    assert.equal(answer, "431[7]");
  });
});
