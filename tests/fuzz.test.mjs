// Nothing a client can send makes the app panic or loop: packets without end that are Socket.IO and mean nothing,
// or almost something, in every namespace of the chat. They are the same in every run.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connected, newRoom, next, stayedConnected } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { openRaw } from "./harness/raw.mjs";

const ROUNDS = 100;
const PACKETS = 200;

/** A generator of numbers from 0 to 1, always the same (mulberry32). */
function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const EVENTS = ["join", "leave", "message", "typing", "history", "rooms", "name", "whoami", "announce", "shout", "", "x", 7, -1, 1e300];
const KEYS = ["room", "text", "id", "typing", "before", "limit", "error", "_placeholder", "num", "__proto__", ""];
const TEXTS = ["", "general", "\u0000", "\ud800", "💥".repeat(20), "a".repeat(5000), "#general", "'; DROP TABLE log; --", "%00", "../.."];
const NUMBERS = [0, -0, 1, -1, 0.5, 50, 101, 2 ** 32, 2 ** 53, -(2 ** 63), 1e308, 4294967296.5];

function value(random, depth = 0) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const kinds = [() => null, () => random() < 0.5, () => pick(NUMBERS), () => pick(TEXTS), () => pick(TEXTS)];
  if (depth < 4) {
    const some = (make) => Array.from({ length: Math.floor(random() * 4) }, make);
    kinds.push(() => some(() => value(random, depth + 1)));
    kinds.push(() => Object.fromEntries(some(() => [pick(KEYS), value(random, depth + 1)])));
    kinds.push(() => ({ room: "general", text: value(random, depth + 1), id: value(random, depth + 1) }));
  }
  return pick(kinds)();
}

function packet(random) {
  const event = EVENTS[Math.floor(random() * EVENTS.length)];
  const args = Array.from({ length: Math.floor(random() * 4) }, () => value(random));
  const id = random() < 0.5 ? Math.floor(random() * 2 ** (random() * 60)) : "";
  return `42${id}${JSON.stringify([event, ...args])}`;
}

function connect(random) {
  const auth = { name: value(random), key: value(random), token: value(random), pid: value(random), offset: value(random) };
  const sent = Object.fromEntries(Object.entries(auth).filter(() => random() < 0.4));
  return `40${JSON.stringify(sent)}`;
}

test("a storm of packets that mean nothing panics nowhere, and others chat on", async (t) => {
  const server = await startUp();
  t.after(() => server.kill9());
  const room = newRoom();
  const [ada, ben] = [await connected(t, server.url), await connected(t, server.url)];
  for (const socket of [ada, ben]) await ask(socket, "join", room);

  for (let round = 0; round < ROUNDS; round++) {
    const random = seeded(round);
    const raw = await openRaw(t, server.url);
    // Let in or refused, it goes on.
    raw.send(round % 2 ? "40" : connect(random));
    await raw.until((frame) => /^4[04]/.test(frame));
    for (let n = 0; n < PACKETS; n++) raw.send(packet(random));
    await ask(ada, "message", { room, text: `${round}` });
    assert.equal((await next(ben, "message")).text, `${round}`);
    raw.ws.close();
  }

  await ask(ada, "rooms");
  stayedConnected(ada);
  stayedConnected(ben);
  assert.doesNotMatch(server.logs, /panicked|RUST_BACKTRACE|giving up|wasm trap/);
});
