import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { start } from "./server.mjs";

let server, ann, bob;

before(async () => {
  server = await start();
  [ann, bob] = [io(server.url), io(server.url)];
  for (const socket of [ann, bob]) await socket.emitWithAck("join", "general");
});

after(async () => {
  ann?.disconnect();
  bob?.disconnect();
  await server?.stop();
});

test("a message reaches everyone in its room, and no one else", async () => {
  const eve = io(server.url);
  await eve.emitWithAck("join", "elsewhere");
  eve.on("chat message", () => assert.fail("it is not for Eve"));
  const heard = Promise.all([once(ann, "chat message"), once(bob, "chat message")]);
  await ann.emitWithAck("chat message", "general", "Hello");
  for (const [message] of await heard) {
    assert.deepEqual(message, { room: "general", from: ann.id, text: "Hello" });
  }
  await eve.emitWithAck("leave", "elsewhere");
  eve.disconnect();
});

test("the others hear who comes and who goes", async () => {
  const joined = once(ann, "joined");
  const carl = io(server.url);
  await carl.emitWithAck("join", "general");
  const { id } = carl;
  assert.equal((await joined)[0], id);
  const left = once(ann, "left");
  carl.disconnect();
  assert.equal((await left)[0], id);
});
