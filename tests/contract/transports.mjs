// How clients may connect: WebSocket, long-polling, the one after the other, and how much at once.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, client, connected, newRoom, next, nextFew, stayedConnected } from "../harness/clients.mjs";

/** @param {() => import("../harness/parlour.mjs").Server} server */
export function transports(server) {
  const chatWith = async (t, socket) => {
    const room = newRoom();
    const friend = await connected(t, server().url, { auth: { name: "Friend" } });
    for (const each of [friend, socket]) await ask(each, "join", room);

    for (let n = 0; n < 20; n++) socket.emit("message", { room, text: `out ${n}` });
    for (let n = 0; n < 20; n++) friend.emit("message", { room, text: `back ${n}` });

    for (const each of [friend, socket]) {
      const texts = (await nextFew(each, "message", 40)).map(({ text }) => text);
      const expected = (word) => Array.from({ length: 20 }, (_, n) => `${word} ${n}`);
      assert.deepEqual(texts.filter((text) => text.startsWith("out")), expected("out"));
      assert.deepEqual(texts.filter((text) => text.startsWith("back")), expected("back"));
    }
    stayedConnected(socket);
  };

  describe("transports", () => {
    test("a client that only knows long-polling can chat", async (t) => {
      const socket = await connected(t, server().url, { transports: ["polling"] });
      await chatWith(t, socket);
      assert.equal(socket.io.engine.transport.name, "polling");
    });

    test("a client that only knows WebSocket can chat", async (t) => {
      const socket = await connected(t, server().url, { transports: ["websocket"] });
      await chatWith(t, socket);
      assert.equal(socket.io.engine.transport.name, "websocket");
    });

    test("a client that begins with polling upgrades to WebSocket and goes on", async (t) => {
      const socket = client(t, server().url, { transports: ["polling", "websocket"] });
      const upgraded = new Promise((resolve) => socket.io.on("open", () => socket.io.engine.on("upgrade", resolve)));
      await next(socket, "connect");
      const before = socket.id;

      assert.equal((await upgraded).name, "websocket");

      await chatWith(t, socket);
      assert.equal(socket.io.engine.transport.name, "websocket");
      assert.equal(socket.id, before);
    });

    test("what is said during the upgrade arrives once and in order", async (t) => {
      const room = newRoom();
      const friend = await connected(t, server().url);
      await ask(friend, "join", room);
      const socket = client(t, server().url, { transports: ["polling", "websocket"] });
      const upgraded = new Promise((resolve) => socket.io.on("open", () => socket.io.engine.on("upgrade", resolve)));
      await next(socket, "connect");
      await ask(socket, "join", room);

      let sent = 0;
      const say = async () => {
        const n = sent++;
        socket.emit("message", { room, text: `mine ${n}` });
        await ask(friend, "message", { room, text: `theirs ${n}` });
      };
      let done = false;
      upgraded.then(() => (done = true));
      while (!done) await say();
      for (let n = 0; n < 10; n++) await say();

      const texts = (await nextFew(socket, "message", 2 * sent)).map(({ text }) => text);
      for (const whose of ["mine", "theirs"]) {
        const expected = Array.from({ length: sent }, (_, n) => `${whose} ${n}`);
        assert.deepEqual(texts.filter((text) => text.startsWith(whose)), expected);
      }
    });

    test("a client that prefers WebSocket and falls back to polling can chat", async (t) => {
      await chatWith(t, await connected(t, server().url, { transports: ["websocket", "polling"], tryAllTransports: true }));
    });

    test("fifty clients in one room all hear everything, in the same order", async (t) => {
      const room = newRoom("crowd");
      const crowd = await Promise.all(Array.from({ length: 50 }, (_, n) => connected(t, server().url, { auth: { name: `N${n}` } })));
      await Promise.all(crowd.map((socket) => ask(socket, "join", room)));

      await Promise.all(crowd.map((socket, n) => ask(socket, "message", { room, text: `from ${n}` })));

      const heard = await Promise.all(crowd.map((socket) => nextFew(socket, "message", crowd.length)));
      const order = heard[0].map(({ id }) => id);
      assert.equal(new Set(order).size, crowd.length);
      for (const messages of heard) assert.deepEqual(messages.map(({ id }) => id), order);
    });
  });
}
