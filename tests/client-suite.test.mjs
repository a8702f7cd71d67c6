// The application that stands in for socket.io-client's own test server: everything that it offers.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, next, nextFew, stayedConnected } from "./harness/clients.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";

const manifest = join(ROOT, "tests/conformance/client-suite/spin.toml");

let server;
before(async () => void (server = await startUp({ manifest, args: ["--ping-interval", "2000"] })));
after(() => server.stop());

const enter = (t, options) => connected(t, server.url, options);
const bytes = Buffer.from("asdfasdf");
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe("namespaces", () => {
  for (const namespace of ["/", "/foo", "/timeout_socket", "/valid", "/asd", "/abc"]) {
    test(`${namespace} can be entered`, (t) => enter(t, { namespace }));
  }

  test("/no refuses, and / does if the query says fail", async (t) => {
    const refused = async (options) => (await next(client(t, server.url, options), "connect_error")).message;
    assert.equal(await refused({ namespace: "/no" }), "Auth failed (custom namespace)");
    assert.equal(await refused({ query: { fail: true } }), "Auth failed (main namespace)");
  });

  test("/abc says how its client came", async (t) => {
    const socket = client(t, server.url, { namespace: "/abc", query: { "&a": "&=?a" }, auth: { token: "t" } });
    const { query, auth, headers, xdomain, secure, issued, address, url, time } = await next(socket, "handshake");
    assert.deepEqual([query["&a"], query.EIO, auth], ["&=?a", "4", { token: "t" }]);
    assert.deepEqual([xdomain, secure, address], [false, false, "127.0.0.1"]);
    assert.ok(headers.host && url.startsWith("/socket.io/"));
    assert.ok(Math.abs(issued - Date.now()) < 60_000 && Math.abs(Date.parse(time) - Date.now()) < 60_000);
  });
});

describe("/", () => {
  test("answers with what it was asked for", async (t) => {
    const socket = await enter(t);
    assert.equal(await ask(socket, "echo", 123), 123);
    assert.equal(await ask(socket, "getId"), socket.id);
    assert.equal((await ask(socket, "getHandshake")).query.EIO, "4");
    assert.match(await ask(socket, "getAckDate", { test: true }), ISO_DATE);
  });

  test("emits what it is asked for", async (t) => {
    const socket = await enter(t);
    for (const event of ["hi", "getDate", "getDateObj", "getUtf8", "false", "doge", "getbin"]) socket.emit(event);
    await next(socket, "hi");
    assert.match(await next(socket, "takeDate"), ISO_DATE);
    assert.match((await next(socket, "takeDateObj")).date, ISO_DATE);
    const texts = await nextFew(socket, "takeUtf8", 5);
    assert.deepEqual(texts, ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]);
    assert.equal(await next(socket, "false"), false);
    assert.deepEqual([await next(socket, "doge"), await next(socket, "takebin")], [bytes, bytes]);
  });

  test("asks for an acknowledgement, and says whether it was the right one", async (t) => {
    const socket = await enter(t);
    socket.on("ack", (answer) => answer(5, { test: true }));
    socket.emit("ack");
    await next(socket, "got it");
  });

  test("takes binary alone, in JSON, and in order", async (t) => {
    const socket = await enter(t);
    const mixed = { hello: "lol", message: bytes, goodbye: "gotcha" };
    socket.emit("buffa", bytes);
    socket.emit("jsonbuff", mixed);
    socket.emit("abuff1", bytes);
    socket.emit("abuff2", "please arrive second");
    socket.emit("blob", bytes);
    socket.emit("jsonblob", mixed);
    socket.emit("blob1", bytes);
    socket.emit("blob2", "second");
    socket.emit("blob3", bytes);
    for (const event of ["buffack", "jsonbuff-ack", "abuff2-ack", "back", "jsonblob-ack", "blob3-ack"]) await next(socket, event);
    stayedConnected(socket);
  });

  test("remembers a client that loses its connection", async (t) => {
    const socket = await enter(t);
    const id = socket.id;
    socket.io.engine.close();
    await next(socket, "connect");
    assert.deepEqual([socket.recovered, socket.id], [true, id]);
  });
});
