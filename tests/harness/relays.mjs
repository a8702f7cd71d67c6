// Several relays in front of one app, and what their clients hear.

import assert from "node:assert/strict";
import { join } from "node:path";
import { PATIENCE, ask, next } from "./clients.mjs";
import { ROOT, secrets, startApp, startRelay, within } from "./parlour.mjs";

export const manifest = join(ROOT, "tests/features/spin.toml");

/** What several relays have in common. `relay(…)` starts one; its options are those of `startRelay`. */
export async function deploy(t, broker) {
  const env = secrets();
  const app = await startApp({ manifest, env });
  t.after(() => app.kill9());
  let count = 0;
  const relay = async ({ args = [], bus = broker.url, ...options } = {}) => {
    const id = options.id ?? `relay-${++count}`;
    const relay = await startRelay({ origin: app.url, env, args: ["--relay-id", id, ...(bus ? ["--bus", bus] : []), ...args], ...options });
    t.after(() => relay.kill9());
    return relay;
  };
  return { app, env, relay };
}

/** Emits from the server, and waits until the app has it. */
export const say = (socket, whom, ...args) => ask(socket, "emit", { whom, event: "said", args });

/** The same, if its connection holds. What was on its way then may have been said or not. */
export const trySay = (socket, whom, ...args) => say(socket, whom, ...args).then(() => true, () => false);

/** Waits until a process has logged it, after what it had logged at `since`. @param {Process} process @param {RegExp} pattern */
export async function logged(process, pattern, since = 0) {
  const found = new Promise((resolve) => {
    const look = () => {
      const match = pattern.exec(plain(process.stderr.slice(since)));
      if (match) resolve(match);
    };
    process.child.stderr.on("data", look);
    look();
  });
  return within(PATIENCE, found, () => `parlour ${process.args[0]} did not log ${pattern}:\n${plain(process.stderr).slice(-4000)}`);
}

/** Without colours. */
export const plain = (text) => text.replaceAll(/\x1b\[\d*m/g, "");

/** What a client hears of `said`, in order, for as long as the test runs. */
export function recorded(socket) {
  const heard = [];
  socket.on("said", (text) => heard.push(text));
  return heard;
}

/** Everything that was said has arrived at these clients, because the last word of a speaker has. */
export async function settled(speaker, sockets, room) {
  const word = `the last word: ${Math.random()}`;
  await say(speaker, { to: [room] }, word);
  for (const socket of sockets) await next(socket, "said", (text) => text === word);
  return word;
}

/** Each in the order in which one speaker has said them. */
export function assertInOrder(heard, names, count) {
  for (const name of names) {
    const theirs = heard.filter((text) => text.startsWith(`${name} `));
    assert.deepEqual(theirs, Array.from({ length: count }, (_, n) => `${name} ${n}`));
  }
}
