// Binary inside nested JSON, and acknowledgements, both ways, with the application of the
// conformance tests: it sends back what it is sent.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, ask, client, connected, newRoom, next, sibling, stayedConnected } from "./harness/clients.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";
import { enterRaw } from "./harness/raw.mjs";

let server;
before(async () => void (server = await startUp({ manifest: join(ROOT, "tests/conformance/spin.toml") })));
after(() => server.stop());

/** All arguments of the next event of that name. */
const nextArgs = (socket, event) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} came`)), PATIENCE);
    socket.once(event, (...args) => (clearTimeout(timer), resolve(args)));
  });

const noise = (length) => Buffer.from(Array.from({ length }, (_, n) => (n * 31 + 7) % 256));

/** @type {Record<string, any[]>} */
const ARGUMENTS = {
  "nothing": [],
  "one of each kind": [1, -2.5, "three", true, null, [4, [5]], { six: { seven: 8 } }],
  "text of every kind": ['"\\\n\u0000\u2028', "日本語 🎉", ""],
  "numbers that JSON can hold": [0, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, -0.1],
  "a buffer": [noise(300)],
  "an empty buffer": [Buffer.alloc(0)],
  "a buffer in nested JSON": [{ a: [{ b: { c: noise(3), d: "text" } }, 7] }],
  "ten buffers in several arguments": [{ all: Array.from({ length: 9 }, (_, n) => noise(n + 1)) }, "between", [noise(99)]],
  "a large buffer": [{ picture: noise(500_000) }],
  "what looks like a placeholder and is none": [{ placeholder: true, num: 0 }, "_placeholder"],
};

for (const transport of ["websocket", "polling"]) {
  describe(`over ${transport}`, () => {
    const enter = (t) => connected(t, server.url, { transports: [transport] });

    for (const [what, args] of Object.entries(ARGUMENTS)) {
      test(`${what}: sent to the server and sent back as an event`, async (t) => {
        const socket = await enter(t);
        const back = nextArgs(socket, "message-back");
        socket.emit("message", ...args);
        assert.deepEqual(await back, args);
      });

      test(`${what}: sent to the server and sent back as an acknowledgement`, async (t) => {
        const socket = await enter(t);
        const back = new Promise((resolve) => socket.emit("message-with-ack", ...args, (...answer) => resolve(answer)));
        assert.deepEqual(await back, args);
        stayedConnected(socket);
      });
    }

    test("binary for everyone in a room arrives at each, on either transport, unchanged", async (t) => {
      const room = newRoom();
      const sockets = [await enter(t), await connected(t, server.url), await connected(t, server.url, { transports: ["polling"] })];
      for (const socket of sockets) await ask(socket, "join", room);
      const message = { room, files: [{ name: "a.bin", bytes: noise(1000) }, { name: "empty", bytes: Buffer.alloc(0) }] };

      sockets[0].emit("message", message, noise(5));

      for (const socket of sockets) assert.deepEqual(await next(socket, "message"), message);
    });

    test("each acknowledgement finds its own callback", async (t) => {
      const socket = await enter(t);
      const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(socket, "echo", n)));
      assert.deepEqual(answers, Array.from({ length: 100 }, (_, n) => n));
    });

    test("what the client said in auth is what the server knows", async (t) => {
      const auth = { token: "123", nested: { list: [1, 2], text: "ü" } };
      const socket = client(t, server.url, { transports: [transport], auth });
      assert.deepEqual(await next(socket, "auth"), auth);
      const custom = sibling(t, socket, "/custom", { other: true });
      assert.deepEqual(await next(custom, "auth"), { other: true });
    });
  });
}

test("the attachments of one socket do not mix with the packets of its other namespace", async (t) => {
  const socket = await connected(t, server.url);
  const custom = sibling(t, socket, "/custom");
  await next(custom, "connect");
  const answers = [];
  for (let n = 1; n <= 50; n++) {
    answers.push(ask(socket, "echo", { n, bytes: noise(n) }));
    custom.emit("ignored", { bytes: noise(n) });
  }
  (await Promise.all(answers)).forEach((answer, n) => assert.deepEqual(answer, { n: n + 1, bytes: noise(n + 1) }));
  stayedConnected(custom);
});

test("twenty clients send as much as one message may hold at the same time, and each gets its own back", async (t) => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => connected(t, server.url)));
  const picture = (n) => ({ n, bytes: Buffer.alloc(900_000, n) });

  const answers = await Promise.all(clients.map((socket, n) => ask(socket, "echo", picture(n))));

  answers.forEach(({ n, bytes }, at) => {
    assert.equal(n, at);
    assert.ok(bytes.equals(picture(at).bytes));
  });
  clients.forEach(stayedConnected);
});

test("an eleventh attachment ends the connection of its sender only", async (t) => {
  const other = await connected(t, server.url);
  const socket = await connected(t, server.url, { reconnection: false });
  socket.emit("message", Array.from({ length: 11 }, (_, n) => noise(n)));
  assert.equal(await next(socket, "disconnect"), "transport close");
  await ask(other, "echo", 1);
  stayedConnected(other);
});

test("a placeholder inside the JSON cannot reach what was not attached", async (t) => {
  const raw = await enterRaw(t, server.url);
  raw.send('421["echo",{"_placeholder":true,"num":0}]');
  const [answer] = (await raw.until((frame) => frame.startsWith("431"))).slice(-1);
  assert.equal(answer, '431[{"_placeholder":true,"num":0}]');
});

describe("acknowledgements that the server asks for", () => {
  test("a client's answer comes back, binary included", async (t) => {
    const socket = await connected(t, server.url);
    socket.on("question", (first, second, answer) => answer({ first }, second));
    const answers = nextArgs(socket, "answers");
    socket.emit("ask", "what?", noise(5));
    assert.deepEqual(await answers, [[[{ first: "what?" }, noise(5)]], 0]);
  });

  test("everyone in a room is asked; who leaves or says nothing is missing", async (t) => {
    const [asker, second, silent, leaving] = await Promise.all(
      Array.from({ length: 4 }, () => connected(t, server.url)),
    );
    const room = newRoom();
    for (const socket of [asker, second, silent, leaving]) await ask(socket, "join", room);
    asker.on("question", (text, answer) => answer(`${text} one`));
    second.on("question", (text, answer) => answer(`${text} two`));
    leaving.on("question", () => leaving.disconnect());
    const answers = nextArgs(asker, "answers");
    asker.emit("ask-room", room, "say");
    const [told, missing] = await answers;
    assert.deepEqual(told.flat().sort(), ["say one", "say two"]);
    assert.equal(missing, 2);
  });

  test("a question to an empty room is answered by nobody, at once", async (t) => {
    const socket = await connected(t, server.url);
    const answers = nextArgs(socket, "answers");
    socket.emit("ask-room", newRoom(), "hello?");
    assert.deepEqual(await answers, [[], 0]);
  });

  test("an answer that nobody asked for is ignored", async (t) => {
    const raw = await enterRaw(t, server.url);
    raw.send("437[1]");
    raw.send('420["echo","still here"]');
    const [answer] = (await raw.until((frame) => frame.startsWith("430"))).slice(-1);
    assert.equal(answer, '430["still here"]');
  });
});
