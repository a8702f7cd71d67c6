// One client, or a few, that try to make the relay keep more than it may. During each attack another client
// goes on being served, and the relay's memory stays below what --max-memory allows over what it had at rest.
// How long the other client waits is printed, not judged: the machine may be busy. bench/attacks.mjs compares it.

import assert from "node:assert/strict";
import { cpus } from "node:os";
import { after, before, test } from "node:test";
import { frame, openWebSocket, several, times } from "./harness/attack.mjs";
import { ATTACKS } from "./harness/attacks.mjs";
import { ask, connected, stayedConnected } from "./harness/clients.mjs";
import { secrets, startApp, startRelay } from "./harness/parlour.mjs";
import { siege } from "./harness/siege.mjs";

const MIB = 1024 * 1024;
const MAX_MEMORY = 64 * MIB;
/** What the allocator holds for later, most of all: glibc has several heaps for each core (docs/operations.md, "Limits"). */
const UNCOUNTED = 8 * MIB * cpus().length;
const LIMITS = ["--max-memory", "64MiB", "--max-client-memory", "4MiB"];

const env = secrets();
let app;
before(async () => void (app = await startApp({ env })));
after(() => app.stop());

for (const name of ATTACKS.keys()) {
  test(name, async (t) => {
    const { relay, witness, rest, under, base, most } = await siege(t, name, { app, env, args: LIMITS });
    const added = ((most - base) / MIB).toFixed(1);
    t.diagnostic(`memory +${added} MiB; p99 ${rest.toFixed(1)} ms at rest, ${under.toFixed(1)} ms under attack`);
    assert.ok(most - base < MAX_MEMORY + UNCOUNTED, `the relay took ${added} MiB more than at rest`);
    stayedConnected(witness);
    // It recovers: whoever comes now is let in.
    await times(await connected(t, relay.url), 1);
  });
}

test("headers that are kept as long as a connection are short", async (t) => {
  const relay = await startRelay({ origin: app.url, env, args: LIMITS });
  t.after(() => relay.stop());
  const open = async (bytes) => (await openWebSocket(t, relay.url, { headers: [`X-Long: ${"h".repeat(bytes)}`] })).status;
  assert.equal(await open(10_000), 101);
  assert.equal(await open(20_000), 431);
  assert.equal(await open(374_000), 431);
});

test("when nearly all memory is taken, whoever comes is told when to come again", async (t) => {
  const relay = await startRelay({ origin: app.url, env, args: LIMITS });
  t.after(() => relay.stop());
  const early = await connected(t, relay.url);
  // Each makes the relay keep most of what a client may, and stays.
  const packet = `452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`;
  let refused;
  for (let count = 0; count < 400 && !refused; count += 1) {
    const { socket, status, answer } = await openWebSocket(t, relay.url);
    if (status !== 101) refused = answer;
    socket.write(Buffer.concat([frame("text", "40"), frame("text", packet), frame("binary", Buffer.alloc(990_000))]));
  }
  assert.match(refused ?? "nobody was refused", /^HTTP\/1\.1 503 .*\r\nretry-after: 5\r\n/s);
  await ask(early, "rooms");
  stayedConnected(early);
});

test("a client that sends more events than it may is slowed, and loses none", async (t) => {
  const relay = await startRelay({ origin: app.url, env, args: [...LIMITS, "--events-per-second", "20"] });
  t.after(() => relay.stop());
  const socket = await connected(t, relay.url);
  const started = performance.now();
  // Twice as many as a second allows are let through at once, 20 take a second.
  await Promise.all(several(60, () => ask(socket, "rooms")));
  assert.ok(performance.now() - started >= 900, "they were not slowed");
  stayedConnected(socket);
});

test("an address opens so many connections at a time, and so many a second", async (t) => {
  const args = ["--max-connections-per-address", "3", "--handshakes-per-second", "1"];
  const relay = await startRelay({ origin: app.url, env, args: [...LIMITS, ...args] });
  t.after(() => relay.stop());
  const open = () => openWebSocket(t, relay.url);
  const first = await open();
  assert.deepEqual([first.status, (await open()).status, (await open()).status], [101, 101, 101]);
  assert.equal((await open()).status, 429);
  // One leaves, and another may come.
  first.socket.destroy();
  let opened;
  for (let attempts = 0; attempts < 200 && opened !== 101; attempts += 1) opened = (await open()).status;
  assert.equal(opened, 101);
});
