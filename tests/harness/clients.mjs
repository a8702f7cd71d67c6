// Socket.IO clients, npm's own and unmodified, that remember what they received.
// Nothing here knows what the server is: Parlour and the reference are tested with the same clients.

import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { within } from "./parlour.mjs";

/** How long anything that must happen may take, milliseconds: the test machine may be busy. */
export const PATIENCE = 15_000;

/**
 * @typedef {object} Received
 * @property {string} event an event's name, or `connect`, `disconnect`, `connect_error`
 * @property {any[]} args
 */

/** What a client received and no test has asked for yet, and who is waiting for more. */
const inboxes = new WeakMap();

/**
 * A client that connects at once and is closed when the test ends.
 * @param {import("node:test").TestContext} t
 * @param {string} url
 * @param {{namespace?: string, transports?: string[], auth?: object} & Partial<import("socket.io-client").ManagerOptions>} options
 */
export function client(t, url, { namespace = "/", ...options } = {}) {
  const socket = io(new URL(namespace, url).href, {
    forceNew: true,
    transports: ["websocket"],
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    ...options,
  });
  t.after(() => void socket.disconnect());
  return watched(socket);
}

/** A client that is already in. */
export async function connected(t, url, options) {
  const socket = client(t, url, options);
  await next(socket, "connect");
  return socket;
}

/** Another namespace on the same connection. */
export function sibling(t, socket, namespace, auth = {}) {
  const other = socket.io.socket(namespace, { auth });
  t.after(() => void other.disconnect());
  return watched(other);
}

/**
 * The first event of that name, past or future, that nobody asked for yet and that `wanted` agrees
 * to: its first argument. Fails when it does not come.
 * @param {import("socket.io-client").Socket} socket
 * @param {string} event
 * @param {(...args: any[]) => boolean} [wanted]
 */
export async function next(socket, event, wanted = () => true) {
  const inbox = inboxes.get(socket);
  const matches = (received) => received.event === event && wanted(...received.args);
  const arrived = new Promise((resolve) => {
    const look = () => {
      const at = inbox.received.findIndex(matches);
      if (at < 0) return;
      inbox.waiting.delete(look);
      resolve(inbox.received.splice(at, 1)[0].args[0]);
    };
    inbox.waiting.add(look);
    look();
  });
  return within(PATIENCE, arrived, () => `no ${event} came; unread: ${JSON.stringify(inbox.received)}`);
}

/** Several in a row. */
export async function nextFew(socket, event, count) {
  const events = [];
  while (events.length < count) events.push(await next(socket, event));
  return events;
}

/** Sends an event and gives the first argument of its acknowledgement. */
export function ask(socket, event, ...args) {
  return socket.timeout(PATIENCE).emitWithAck(event, ...args);
}

/** What arrived of that event and was not asked for. @returns {any[]} */
export function unread(socket, event) {
  const inbox = inboxes.get(socket);
  return inbox.received.filter((received) => received.event === event).map(({ args }) => args[0]);
}

/**
 * Fails if the client received that event. What the server had sent to it before this call has
 * arrived when the answer to a question asked now has: one socket's packets keep their order.
 */
export async function heardNo(socket, event) {
  await ask(socket, "rooms");
  assert.deepEqual(unread(socket, event), [], `${event} should not have come`);
}

/** Fails if the client was ever disconnected. */
export function stayedConnected(socket) {
  assert.deepEqual(unread(socket, "disconnect"), []);
  assert.equal(socket.connected, true);
}

function watched(socket) {
  const inbox = { /** @type {Received[]} */ received: [], waiting: new Set() };
  const note = (event, ...args) => {
    inbox.received.push({ event, args });
    for (const look of inbox.waiting) look();
  };
  inboxes.set(socket, inbox);
  socket.onAny(note);
  for (const event of ["connect", "disconnect", "connect_error"]) {
    socket.on(event, (...args) => note(event, ...args));
  }
  return socket;
}

let rooms = 0;

/** A room's name that no other test uses. */
export function newRoom(topic = "room") {
  return `${topic}-${process.pid}-${++rooms}`;
}
