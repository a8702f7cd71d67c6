// What JavaScript's JSON may hold and other readers refuse: half a surrogate pair (an emoji that a length limit has cut
// in two), `10.0` for a whole number, a key that is given twice, any depth. It goes through as it came, byte for byte,
// unless a handler asks for a type; then it means what it means in JavaScript.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, connected, newRoom, next, stayedConnected } from "./harness/clients.mjs";
import { ROOT, startPair, startUp } from "./harness/parlour.mjs";
import { enterRaw } from "./harness/raw.mjs";

const HALF = "\ud83d";

/** JSON texts that `JSON.parse` takes, none of which it would print so. */
const ODD = [
  String.raw`"\uD83D"`,
  String.raw`"cut \uDE00 in two"`,
  String.raw`{"\uD83D":1,"\uD83E":2}`,
  "10.0",
  "1e1",
  "-0",
  "1E400",
  "12345678901234567890123.5",
  String.raw`{ "z" : 1, "a":2,"z":[3 , null] }`,
  String.raw`"\u0041\/\u2028"`,
];

const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);
const objects = (depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

/** Sends frames by hand and gives those that come up to the acknowledgement, which is the last of them. */
async function exchange(raw, id, ...frames) {
  raw.send(...frames);
  const isAck = (frame) => frame.startsWith(`43${id}`);
  const read = await raw.until(isAck);
  return read.slice(0, read.findIndex(isAck) + 1);
}

/** Sends an event by hand and gives its acknowledgement as it is on the wire. */
async function asked(raw, id, ...json) {
  const [ack] = (await exchange(raw, id, `42${id}[${json.join(",")}]`)).slice(-1);
  return ack.slice(`43${id}`.length);
}

test("these texts are what JavaScript takes and would not print so", () => {
  for (const json of ODD) assert.notEqual(JSON.stringify(JSON.parse(json)), json);
  assert.equal(JSON.parse(nested(100_000)).length, 1);
});

for (const [how, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  describe(`${how}: where no handler asks for a type`, () => {
    let server;
    before(async () => void (server = await start({ manifest: join(ROOT, "tests/features/spin.toml") })));
    after(() => server.stop());

    test("an acknowledgement has what was sent, byte for byte", async (t) => {
      const raw = await enterRaw(t, server.url);
      assert.equal(await asked(raw, 7, '"echo"', ...ODD), `[${ODD}]`);
      for (const json of [nested(129), nested(100_000), objects(50_000)]) {
        assert.equal(await asked(raw, 8, '"echo"', json), `[${json}]`);
      }
    });

    test("an emission has it, to whoever is there, in the history, and for who was away", async (t) => {
      const room = newRoom();
      const raw = await enterRaw(t, server.url, '40{"offset":false}');
      const away = await connected(t, server.url, { reconnection: false });
      await ask(away, "join", [room]);
      await asked(raw, 1, '"join"', `["${room}"]`);
      away.io.engine.close();
      await next(away, "disconnect");

      const thing = `{"odd":[${ODD}],"deep":${nested(5_000)}}`;
      const order = `{"whom":{"to":["${room}"]},"event":"said","args":[${thing}]}`;
      assert.deepEqual(await exchange(raw, 2, `422["emit",${order}]`), [`42["said",${thing}]`, "432[]"]);
      assert.equal(await asked(raw, 3, '"history"', `"${room}"`), `[[${thing}]]`);
      away.connect();
      await next(away, "connect");
      assert.equal(away.recovered, true);
      const got = await next(away, "said");
      assert.equal(got.odd[0], HALF);
      assert.equal(Object.keys(got.odd[2]).length, 2);
    });

    test("beside attachments it stays as it was written, and these are renumbered", async (t) => {
      const raw = await enterRaw(t, server.url, '40{"offset":false}');
      const other = { first: '{"_placeholder":true,"num":1}', second: '{ "num":0 , "_placeholder":true}' };
      const thing = `{"z":${other.first},"odd":[${ODD}],"a":${other.second},"deep":${nested(5_000)}}`;
      const order = `452-4["emit-to-me",{"event":"said","args":[${thing}]}]`;
      const got = await exchange(raw, 4, order, Buffer.from([1]), Buffer.from([2, 2]));
      const expected = thing.replace('"num":1', '"num":#').replace('"num":0', '"num":1').replace('"num":#', '"num":0');
      assert.deepEqual(got, [`452-["said",${expected}]`, "<2 bytes>", "<1 bytes>", "434[]"]);
    });

    test("an event's name and an answer that was asked for may have half a pair, too", async (t) => {
      const socket = await connected(t, server.url);
      await ask(socket, "set-data", "listening");
      socket.emit(HALF, { [HALF]: HALF }, Buffer.from([1]));
      const got = new Promise((resolve) => socket.once("any", (...args) => resolve(args)));
      const [, args] = /** @type {any[]} */ (await got);
      assert.deepEqual(args, [{ [HALF]: HALF }, Buffer.from([1])]);

      socket.on("question", (answer) => answer({ half: HALF, bytes: Buffer.from([7]) }));
      await ask(socket, "ask", 15_000, { whom: { to: [socket.id] }, event: "question" });
      assert.deepEqual(await next(socket, "answers"), [[socket.id, [{ half: HALF, bytes: Buffer.from([7]) }]]]);
      stayedConnected(socket);
    });

    test("what is read as any JSON may be a thousand deep, and deeper is refused in words", async (t) => {
      const raw = await enterRaw(t, server.url);
      for (const json of [nested(1000), objects(1000)]) {
        assert.equal(await asked(raw, 1, '"set-data"', json), `[${json}]`);
        assert.equal(JSON.parse(await asked(raw, 2, '"about"'))[0].data === undefined, false);
      }
      for (const json of [nested(1001), objects(1001), nested(100_000)]) {
        const [{ error }] = JSON.parse(await asked(raw, 3, '"set-data"', json));
        assert.equal(error.code, "bad_request");
        assert.match(error.message, /^`set-data`: argument 1: .*more than 1000 arrays and objects are in each other$/);
      }
    });

    test("a socket's data are the same for everybody, whatever they were made of", async (t) => {
      const raw = await enterRaw(t, server.url);
      await asked(raw, 1, '"set-data"', String.raw`{"id":"a","id":"b\ud83d"}`);
      const [{ data }] = JSON.parse(await asked(raw, 2, '"about"'));
      assert.deepEqual(data, { id: "b\ufffd" });
    });
  });
}

describe("where a handler asks for a type", () => {
  let server;
  before(async () => void (server = await startUp()));
  after(() => server.stop());

  test("a text with half a surrogate pair has a replacement character in its place", async (t) => {
    const room = newRoom();
    const [ada, ben] = [await connected(t, server.url, { auth: { name: `Ada${HALF}` } }), await connected(t, server.url)];
    for (const socket of [ada, ben]) await ask(socket, "join", room);
    const { id } = await ask(ada, "message", { room, text: `cut ${HALF}` });
    const heard = await next(ben, "message");
    assert.deepEqual([heard.id, heard.text, heard.from.name], [id, "cut \ufffd", "Ada\ufffd"]);
    const [stored] = await ask(ben, "history", { room });
    assert.equal(stored.text, "cut \ufffd");
  });

  test("10.0 and 1e1 are 10, and of a key given twice the last counts", async (t) => {
    const room = newRoom();
    const raw = await enterRaw(t, server.url);
    await asked(raw, 1, '"join"', `"${room}"`);
    for (let n = 0; n < 12; n++) await asked(raw, 2, '"message"', `{"room":"${room}","text":"${n}"}`);
    for (const limit of ["10", "10.0", "1e1", "100e-1"]) {
      const [page] = JSON.parse(await asked(raw, 3, '"history"', `{"room":"${room}","limit":${limit}}`));
      assert.equal(page.length, 10, limit);
    }
    const [page] = JSON.parse(await asked(raw, 4, '"history"', `{"limit":"x","room":7,"room":"${room}","limit":2}`));
    assert.deepEqual(page.map(({ text }) => text), ["10", "11"]);
    const before = `${page[0].offset}.0`;
    const [older] = JSON.parse(await asked(raw, 5, '"history"', `{"room":"${room}","limit":1,"before":${before}}`));
    assert.deepEqual(older.map(({ text }) => text), ["9"]);
  });

  test("what is refused is refused in words, with the argument and the place in it", async (t) => {
    const raw = await enterRaw(t, server.url);
    for (const [event, json, message] of [
      ["history", '{"room":"a","limit":2.5}', "argument 1: `limit`: expected a whole number from 0 to 4294967295, got the number 2.5"],
      ["history", '{"room":"a","limit":1e10}', "argument 1: `limit`: expected a whole number from 0 to 4294967295, got the number 10000000000"],
      ["message", '{"room":"a"}', "argument 1: `text` is missing"],
      ["message", '{"room":"a","text":["b"]}', "argument 1: `text`: expected a string, got an array"],
      ["typing", '{"room":"a","typing":"yes"}', 'argument 1: `typing`: expected a boolean, got the string "yes"'],
      ["typing", "7", "argument 1: expected an object {room, typing}, got the number 7"],
      ["name", nested(5_000), "argument 1: expected a string, got an array"],
    ]) {
      const [{ error }] = JSON.parse(await asked(raw, 1, `"${event}"`, json));
      assert.equal(error.message, `\`${event}\`: ${message}`);
    }
  });
});
