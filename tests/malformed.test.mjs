// What no real client would send. For each, npm's Socket.IO server is asked first; Parlour must do
// the same, and must hurt nobody else.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask, connected, newRoom, next, nextFew, stayedConnected } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { enterRaw, openPolling, openRaw } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

let parlour, reference;
before(async () => void ([parlour, reference] = await Promise.all([startUp(), startReference()])));
after(() => Promise.all([parlour.stop(), reference.stop()]));

/** Asked last: its answer shows that the connection still works. */
const FENCE = '42999["rooms"]';
const isFence = (frame) => frame.startsWith("43999[");

/** What is sent on a connection that is in the namespace "/". @type {Record<string, (string | Uint8Array)[]>} */
const PACKETS = {
  "an Engine.IO packet of no type": ["9"],
  "an empty Engine.IO packet": [""],
  "a ping, which only servers send": ["2"],
  "a pong nobody asked for": ["3"],
  "an Engine.IO open, which only servers send": ['0{"sid":"mine"}'],
  "an Engine.IO noop": ["6"],
  "an Engine.IO upgrade of nothing": ["5"],
  "text that is not a packet at all": ["GET / HTTP/1.1\r\n\r\n"],
  "an empty Socket.IO packet": ["4"],
  "a Socket.IO packet of no type": ["47[]"],
  "a Socket.IO packet whose type is no digit": ["4x[]"],
  "JSON that ends too early": ['42["rooms"'],
  "JSON with something behind it": ['42["rooms"]]'],
  "an event without anything": ["42"],
  "an event whose payload is an object": ['42{"rooms":1}'],
  "an event whose payload is a string": ['42"rooms"'],
  "an event without a name": ["42[]"],
  "an event whose name is null": ["42[null]"],
  "an event whose name is an object": ['42[{"name":"rooms"}]'],
  "an event whose name is a number": ['42[7,"x"]'],
  "an event with a reserved name": ['42["disconnect"]'],
  "an event with another reserved name": ['42["connect_error"]'],
  "an event for a namespace that was not entered": ['42/members,["rooms"]'],
  "an event for a namespace that does not exist": ['42/nowhere,["rooms"]'],
  "a namespace that does not exist": ["40/nowhere,"],
  "a namespace without a comma": ["40/nowhere"],
  "a namespace with a query": ["40/nowhere?token=x,"],
  "a namespace in another script": ["40/房间🏠,"],
  "a namespace with quotes, percent signs and a line break": ['40/"%2f%00\r\n\u0000",'],
  "a namespace of a thousand characters": [`40/${"n".repeat(1000)},`],
  "a namespace of two hundred thousand characters": [`40/${"n".repeat(200_000)},`],
  "a namespace of nothing but its slash, with a comma": ['42/,["rooms"]'],
  "a namespace with a dot segment": ["40/../members,"],
  "a second CONNECT": ["40"],
  "a CONNECT whose payload is an array": ["40/nowhere,[]"],
  "a CONNECT whose payload is a string": ['40/nowhere,"token"'],
  "a CONNECT_ERROR, which only servers send": ['44{"message":"no"}'],
  "a DISCONNECT with a payload": ['41{"why":"not"}'],
  "a DISCONNECT of a namespace that was not entered": ["41/members,"],
  "an ack nobody asked for": ["437[]"],
  "an ack without an id": ["43[]"],
  "an ack whose payload is an object": ["437{}"],
  "an event that wants the ack of id 0": ['420["rooms"]'],
  "an ack id with leading zeros": ['42007["rooms"]'],
  "an ack id beyond 2^53": ['429007199254740993["rooms"]'],
  "an ack id beyond 2^64": ['4218446744073709551617["rooms"]'],
  "an ack id of 30 digits": [`42${"9".repeat(30)}["rooms"]`],
  "an ack id of 400 digits": [`42${"9".repeat(400)}["rooms"]`],
  "an ack id that is negative": ['42-1["rooms"]'],
  "attachments that never come": ['451-["x",{"_placeholder":true,"num":0}]'],
  "more attachments than announced": ['451-["x",{"_placeholder":true,"num":0}]', bytes(1), bytes(2)],
  "a binary frame nobody announced": [bytes(1)],
  "an empty binary frame nobody announced": [new Uint8Array()],
  "more attachments than the limit of ten": ['4511-["x"]'],
  "as many attachments as the limit": ['4510-["x"]', ...Array.from({ length: 10 }, (_, n) => bytes(n))],
  "no attachments in a packet that must have some": ['450-["x"]'],
  "a negative number of attachments": ['45-1-["x"]'],
  "a number of attachments that is none": ['45one-["x"]'],
  "a number of attachments without its dash": ['451["x"]'],
  "a placeholder beyond the attachments": ['451-["x",{"_placeholder":true,"num":5}]', bytes(1)],
  "a placeholder that is negative": ['451-["x",{"_placeholder":true,"num":-1}]', bytes(1)],
  "a placeholder that is no number": ['451-["x",{"_placeholder":true,"num":"0"}]', bytes(1)],
  "attachments without a placeholder": ['451-["x"]', bytes(1)],
  "a binary event whose payload is an object": ['451-{"x":1}', bytes(1)],
  "a binary ack nobody asked for": ['461-7[{"_placeholder":true,"num":0}]', bytes(1)],
  "JSON nested five hundred deep": [`42["x",${"[".repeat(500)}${"]".repeat(500)}]`],
  "JSON with a lone surrogate": ['42["x","\\ud800"]'],
  "JSON with a number beyond any float": ['42["x",1e999]'],
  "a key called __proto__": ['42["x",{"__proto__":{"admin":true},"constructor":null}]'],
};

/** What is sent on a connection that is in no namespace. @type {Record<string, (string | Uint8Array)[]>} */
const PACKETS_BEFORE_CONNECT = {
  "an event before CONNECT": ['42["rooms"]'],
  "a DISCONNECT before CONNECT": ["41"],
  "an ack before CONNECT": ["430[]"],
  "a binary event before CONNECT": ['451-["x",{"_placeholder":true,"num":0}]', bytes(1)],
  "a CONNECT whose payload is a string": ['40"token"'],
  "a CONNECT whose payload is null": ["40null"],
  "a CONNECT whose payload is cut off": ['40{"token":'],
  "a CONNECT and a DISCONNECT at once": ["40", "41"],
};

/** What is POSTed to a long-polling connection that is in the namespace "/". */
const PAYLOADS = {
  "a packet of no type": "9",
  "nothing": "",
  "base64 that is none": 'b!!!!',
  "a good packet and a bad one": '42["rooms"]\x1e47[]',
  "separators only": "\x1e\x1e\x1e",
  "an event for a namespace that was not entered": '42/members,["rooms"]',
};

describe("malformed packets, each as Socket.IO answers it", () => {
  for (const [what, frames] of Object.entries(PACKETS)) {
    test(what, (t) => alike(t, async (url) => answers(await enterRaw(t, url), frames)));
  }
  for (const [what, frames] of Object.entries(PACKETS_BEFORE_CONNECT)) {
    test(what, (t) => alike(t, async (url) => answers(await openRaw(t, url), frames)));
  }
  test("a text frame that is not UTF-8", (t) =>
    alike(t, async (url) => {
      const raw = await enterRaw(t, url);
      raw.ws.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
      return raw.closed();
    }));
  test("a frame whose length is a lie", (t) =>
    alike(t, async (url) => {
      const raw = await enterRaw(t, url);
      // FIN, text, masked, 64-bit length with its highest bit set, which RFC 6455 forbids.
      raw.ws._socket.write(Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]));
      return (await raw.closed()).code;
    }));
});

describe("malformed payloads end a long-polling session, as they do with Engine.IO", () => {
  for (const [what, payload] of Object.entries(PAYLOADS)) {
    test(what, (t) =>
      alike(t, async (url) => {
        const polling = await openPolling(url);
        await polling.post("40");
        assert.match((await polling.poll()).body, /^40\{/);
        // npm's server says 200 to a payload it cannot read, the protocol's test suite asks for 400.
        await polling.post(payload);
        await polling.post(FENCE);
        const { status, body } = await polling.poll();
        const packets = status === 200 ? body.split("\x1e") : [];
        const ended = status === 400 || packets.includes("1");
        return { ended, answered: packets.filter((packet) => packet.startsWith("4")).map(withoutIds) };
      }),
    );
  }
});

test("an Engine.IO close ends a WebSocket at once, as the protocol says, where npm's server waits for the heartbeat", async (t) => {
  const raw = await enterRaw(t, parlour.url);
  raw.send("1");
  assert.notEqual((await raw.closed()).code, 1006);
});

test("a CONNECT whose payload is nested five hundred deep is one like any other", (t) =>
  alike(t, async (url) => {
    const raw = await openRaw(t, url);
    raw.send(`40{"x":${"[".repeat(500)}${"]".repeat(500)}}`);
    return (await raw.until((frame) => frame.startsWith("4"))).map(withoutIds);
  }));

test("a hundred namespaces that do not exist are refused one by one", (t) =>
  alike(t, async (url) => {
    const raw = await enterRaw(t, url);
    for (let n = 0; n < 100; n++) raw.send(`40/nowhere-${n},`);
    const refused = [];
    while (refused.length < 100) refused.push(...(await raw.until(() => true)));
    // Namespaces do not wait for each other, so their answers have no order.
    return { refused: refused.sort(), ...(await answers(raw, [])) };
  }));

test("a client that reads nothing is given up in the end, and holds nobody up", async (t) => {
  const room = newRoom();
  const ada = await connected(t, parlour.url, { auth: { name: "Ada" } });
  const ben = await connected(t, parlour.url, { auth: { name: "Ben" } });
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  const deaf = await enterRaw(t, parlour.url);
  deaf.send(`421["join",${JSON.stringify(room)}]`);
  await deaf.until((frame) => frame.startsWith("431"));
  deaf.ws.pause();
  const text = "x".repeat(16_000);

  // More than the relay keeps for one client, and the system's buffers.
  let gone = false;
  next(ada, "left").then(() => (gone = true));
  for (let n = 0; n < 200 && !gone; n++) {
    const many = Array.from({ length: 50 }, () => ask(ada, "message", { room, text }));
    await Promise.all([...many, nextFew(ben, "message", many.length)]);
  }

  assert.ok(gone, "the others are told that it left");
  stayedConnected(ada);
  stayedConnected(ben);
});

test("a hundred broken clients at once hurt nobody else", async (t) => {
  const room = newRoom();
  const ada = await connected(t, parlour.url, { auth: { name: "Ada" } });
  const ben = await connected(t, parlour.url, { auth: { name: "Ben" } });
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  const all = Object.values(PACKETS);

  const broken = await Promise.all(Array.from({ length: 100 }, () => enterRaw(t, parlour.url)));
  broken.forEach((raw, n) => raw.send(...all[n % all.length]));
  for (let n = 0; n < 20; n++) await ask(ada, "message", { room, text: `${n}` });
  broken.forEach((raw) => raw.ws.terminate());

  for (let n = 0; n < 20; n++) assert.equal((await next(ben, "message")).text, `${n}`);
  stayedConnected(ada);
  stayedConnected(ben);
});

/** Runs the probe against the reference and then against Parlour, beside somebody who must notice nothing. */
async function alike(t, probe) {
  const expected = await probe(reference.url);
  const bystander = await connected(t, parlour.url);
  const actual = await probe(parlour.url);
  assert.deepEqual(actual, expected);
  await ask(bystander, "rooms");
  stayedConnected(bystander);
}

/** Sends the frames, then the fence: what comes back, and whether and how the server ends it. */
async function answers(raw, frames) {
  raw.send(...frames, FENCE);
  const answered = await raw.until(isFence);
  const open = answered.some(isFence);
  return { answered: answered.filter((frame) => !isFence(frame)).map(withoutIds), closed: open ? false : raw.end };
}

/** An answer without what differs between two servers: session ids, and what `rooms` lists. */
function withoutIds(frame) {
  return frame.replace(/"([sp]id)":"[^"]*"/g, '"$1":…').replace(/(43[^[]*\[)[^\x1e]*/g, "$1…");
}

function bytes(n) {
  return new Uint8Array([n, n, n]);
}
