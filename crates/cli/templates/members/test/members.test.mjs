import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { start } from "./server.mjs";

let server;
const sockets = [];

/** A client of /members. */
function client(token) {
  const socket = io(`${server.url}/members`, { auth: { token }, forceNew: true });
  sockets.push(socket);
  return socket;
}

before(async () => {
  server = await start();
});

after(async () => {
  for (const socket of sockets) socket.disconnect();
  await server?.stop();
});

test("members hear each other, by their names", async () => {
  const ann = client(server.token("ann"));
  await once(ann, "connect");
  const joined = once(ann, "joined");
  const bob = client(server.token("bob"));
  await once(bob, "connect");
  assert.equal((await joined)[0], "bob");
  const heard = once(bob, "chat message");
  await ann.emitWithAck("chat message", "Hello");
  assert.deepEqual((await heard)[0], { from: "ann", text: "Hello" });
  const left = once(ann, "left");
  bob.disconnect();
  assert.equal((await left)[0], "bob");
});

test("nobody comes in without a good token", async () => {
  for (const token of [undefined, `${server.token("eve")}x`]) {
    const [error] = await once(client(token), "connect_error");
    assert.match(error.message, /./);
  }
});
