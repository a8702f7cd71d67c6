import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { start } from "./server.mjs";

let server, socket;

before(async () => {
  server = await start();
  socket = io(server.url);
});

after(async () => {
  socket?.disconnect();
  await server?.stop();
});

test("who says hello is greeted", async () => {
  assert.equal(await socket.emitWithAck("hello", "Ann"), "Hello, Ann!");
});
