// `renamed`: who shares a room with somebody hears of the new name, once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, connected, heardNo, newRoom, next, unread } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";

let server;
before(async () => void (server = await startUp()));
after(() => server.stop());

test("a new name reaches those who share a room, once each, and nobody else", async (t) => {
  const [one, two] = [newRoom(), newRoom()];
  const [ada, ben, eve] = await Promise.all(["Ada", "Ben", "Eve"].map((name) => connected(t, server.url, { auth: { name } })));
  for (const room of [one, two]) for (const socket of [ada, ben]) await ask(socket, "join", room);
  await ask(eve, "join", newRoom());

  assert.deepEqual(await ask(ada, "name", "Ada Lovelace"), { name: "Ada Lovelace" });

  assert.deepEqual(await next(ben, "renamed"), { member: { id: ada.id, name: "Ada Lovelace" } });
  for (const socket of [ada, ben, eve]) await heardNo(socket, "renamed");
  const { members } = await ask(eve, "join", one);
  assert.ok(members.some(({ name }) => name === "Ada Lovelace"));
});

test("the name that one has already is no news, and without a room there is nobody to tell", async (t) => {
  const [ada, ben] = await Promise.all(["Ada", "Ben"].map((name) => connected(t, server.url, { auth: { name } })));
  await ask(ada, "name", "Alone");
  const room = newRoom();
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  await ask(ada, "name", "Alone");
  await ask(ada, "message", { room, text: "done" });
  await next(ben, "message");
  assert.deepEqual(unread(ben, "renamed"), []);
});
