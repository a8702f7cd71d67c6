// How a crowd of clients comes back after its relay was killed, each to messages that it has missed:
//
//     node bench/recovery.mjs [--clients 10000] [--missed 1024] [--size 64] [--at-once 500]
//
// `--missed` is what each client has missed, in KiB, in messages of `--size` KiB (0: one byte). `cargo xtask build` and
// `npm ci` in tests/ come before. It says how long it took until all were in again, how many of them had their sessions,
// and the most memory that the relay and the app have had. Every client counts what it gets: a message too few or too many fails the run.

import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { frame, memory } from "../tests/harness/attack.mjs";
import { ask, connected } from "../tests/harness/clients.mjs";
import { ROOT, secrets, startApp, startRelay } from "../tests/harness/parlour.mjs";

const MIB = 1024 * 1024;
const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "10000" },
    missed: { type: "string", default: "1024" },
    size: { type: "string", default: "64" },
    "at-once": { type: "string", default: "500" },
  },
});
const [CLIENTS, MISSED, SIZE, AT_ONCE] = ["clients", "missed", "size", "at-once"].map((name) => Number(values[name]));
const MESSAGES = SIZE > 0 ? Math.ceil(MISSED / SIZE) : 1;
const TEXT = "t".repeat(Math.max(1, SIZE * 1024));
const ROOM = "crowd";

/** A client that reads WebSocket frames without keeping them: of each only the beginning. */
class Client {
  id = "";
  pid = "";
  /** Of the last event. */
  offset = "";
  /** How many events it has got since it was let in last. */
  events = 0;
  recovered = false;

  /** Connects, and is in when it resolves. */
  open(url) {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket = socket;
    this.events = 0;
    return new Promise((resolve, reject) => {
      const fail = (error) => reject(error ?? new Error("the server ended the connection"));
      socket.on("error", fail).on("close", () => fail());
      const key = randomBytes(16).toString("base64");
      socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
        `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
      let rest = Buffer.alloc(0);
      let isUpgraded = false;
      /** Bytes of a payload that are still to come, and its beginning and end. */
      let [left, begin, end] = [0, "", ""];
      socket.on("data", (chunk) => {
        rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
        if (!isUpgraded) {
          const at = rest.indexOf("\r\n\r\n");
          if (at < 0) return;
          const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
          if (!rest.includes(accept)) return fail(new Error(rest.toString("latin1", 0, 200)));
          isUpgraded = true;
          rest = rest.subarray(at + 4);
        }
        while (rest.length > 0) {
          if (left === 0) {
            const short = rest[1] & 127;
            const head = short < 126 ? 2 : short === 126 ? 4 : 10;
            if (rest.length < 2 || rest.length < head) return;
            left = short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
            [begin, end] = ["", ""];
            rest = rest.subarray(head);
          }
          const part = rest.subarray(0, left);
          if (begin.length < 200) begin += part.toString("latin1", 0, 200);
          end = (end + part.toString("latin1", Math.max(0, part.length - 40))).slice(-40);
          left -= part.length;
          rest = rest.subarray(part.length);
          if (left === 0) this.packet(begin, end, resolve, fail);
        }
        rest = Buffer.from(rest);
      });
    });
  }

  packet(begin, end, resolve, fail) {
    if (begin.startsWith("2")) this.socket.write(frame("text", "3"));
    else if (begin.startsWith("0")) {
      const auth = this.pid ? JSON.stringify({ pid: this.pid, offset: this.offset }) : "";
      this.socket.write(frame("text", `40${auth}`));
    } else if (begin.startsWith("40")) {
      const { sid, pid } = JSON.parse(begin.slice(2));
      this.recovered = sid === this.id;
      [this.id, this.pid] = [sid, pid];
      resolve(undefined);
    } else if (begin.startsWith("42")) {
      this.events += 1;
      this.offset = /"(\d+)"\]$/.exec(end)?.[1] ?? this.offset;
      this.heard?.();
    } else if (begin.startsWith("43")) this.acked?.();
    else fail(new Error(`got ${begin}`));
  }

  /** Leaves without a word. */
  drop() {
    this.socket.removeAllListeners("close");
    this.socket.on("error", () => {});
    this.socket.resetAndDestroy();
  }
}

/** Does something with each, so many at once. */
async function each(clients, act) {
  const waiting = clients[Symbol.iterator]();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const client of waiting) await act(client);
  }));
}

const env = secrets();
const manifest = join(ROOT, "tests/features/spin.toml");
const app = await startApp({ manifest, env, args: ["--variable", "recovery_duration=1h"] });
const options = { origin: app.url, env, args: ["--relay-id", "one", "--handshakes-per-second", "0"] };
let relay = await startRelay(options);
const clients = Array.from({ length: CLIENTS }, () => new Client());
await each(clients, async (client) => {
  await client.open(relay.url);
  client.socket.write(frame("text", `420["join",["${ROOM}"]]`));
  await new Promise((resolve) => (client.acked = resolve));
});

const t = { after: () => {} };
const speaker = await connected(t, relay.url);
const say = (text) => ask(speaker, "emit", { whom: { to: [ROOM] }, event: "said", args: [text] });
const all = Promise.all(clients.map((client) => new Promise((resolve) => (client.heard = resolve))));
await say("so that each has seen an offset");
await all;
for (const client of clients) client.drop();
// The server has noticed that they are gone when nobody is in the room.
while ((await ask(speaker, "fetch-sockets", { to: [ROOM] })).length > 0) await new Promise((resolve) => setTimeout(resolve, 200));
for (let n = 0; n < MESSAGES; n++) await say(TEXT);
speaker.disconnect();
await relay.kill9();
relay = await startRelay(options);
const base = { relay: (await memory(relay.child.pid)).now, app: (await memory(app.child.pid)).now };

console.log(`${CLIENTS} clients come back, ${AT_ONCE} at once, each to ${MESSAGES} messages of ${TEXT.length} bytes`);
const begin = performance.now();
let back = 0;
const report = setInterval(() => console.log(`  ${Math.round((performance.now() - begin) / 1000)} s: ${back} are in`), 10_000);
await each(clients, async (client) => {
  await client.open(relay.url);
  back += 1;
});
clearInterval(report);
const seconds = (performance.now() - begin) / 1000;
const most = { relay: (await memory(relay.child.pid)).most, app: (await memory(app.child.pid)).most };
const recovered = clients.filter((client) => client.recovered).length;
const wrong = clients.filter((client) => client.recovered && client.events !== MESSAGES).length;
const rate = (CLIENTS * MESSAGES * TEXT.length) / MIB / seconds;
console.log(`in ${seconds.toFixed(1)} s, ${Math.round(CLIENTS / seconds)} clients/s, ${Math.round(rate)} MiB/s`);
console.log(`${recovered} have their sessions, ${wrong} of them with a message too few or too many`);
for (const name of ["relay", "app"]) {
  console.log(`${name}: ${Math.round(base[name] / MIB)} MiB before, ${Math.round(most[name] / MIB)} MiB at the most`);
}
for (const client of clients) client.drop();
process.exit(recovered === CLIENTS && wrong === 0 ? 0 : 1);
