// The torture test's network loses nothing that it should not, and cuts what it should.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { Link } from "./links.mjs";

/** A server that sends everything back, and a link to it. */
async function echo(t) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const link = await new Link([server.address().port]).listen();
  t.after(() => (link.close(), server.close(), sockets.forEach((socket) => socket.destroy())));
  const client = async () => {
    const socket = connect(link.port, "127.0.0.1");
    socket.on("error", () => {});
    t.after(() => socket.destroy());
    await once(socket, "connect");
    return socket;
  };
  return { link, sockets, client };
}

/** Waits until the socket has received so many bytes, and gives them. */
function receive(socket, length) {
  return new Promise((resolve) => {
    const chunks = [];
    let got = 0;
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      got += chunk.length;
      if (got < length) return;
      socket.removeAllListeners("data");
      resolve(Buffer.concat(chunks));
    });
  });
}

/** Waits until the socket is closed, with an error or without. */
const closed = (socket) => new Promise((resolve) => socket.once("close", resolve));

const bytes = (length) => Buffer.from(Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) % 251));

test("what is slowed down or held up arrives whole and in order", async (t) => {
  const { link, client } = await echo(t);
  const socket = await client();
  const sent = bytes(3_000_000);
  const first = receive(socket, 2_000_000);
  link.delay = 30;
  socket.write(sent.subarray(0, 1_000_000));
  link.delay = 1;
  socket.write(sent.subarray(1_000_000, 2_000_000));
  assert.ok((await first).equals(sent.subarray(0, 2_000_000)));
  link.stall(true);
  const second = receive(socket, 1_000_000);
  socket.write(sent.subarray(2_000_000));
  const early = await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 200, "held up"))]);
  assert.equal(early, "held up");
  link.stall(false);
  assert.ok((await second).equals(sent.subarray(2_000_000)));
});

test("an answer arrives whole before the end of its connection, however late", async (t) => {
  const sent = bytes(500_000);
  const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end(sent))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const link = await new Link([server.address().port]).listen();
  t.after(() => (link.close(), server.close()));
  for (const delay of [0, 50]) {
    link.delay = delay;
    const socket = connect(link.port, "127.0.0.1");
    const [received, end] = [receive(socket, sent.length), closed(socket)];
    socket.write("ask");
    assert.ok((await received).equals(sent));
    await end;
  }
});

test("a cut ends both ends, and while connections are refused none is made", async (t) => {
  const { link, sockets, client } = await echo(t);
  const socket = await client();
  socket.write("hello");
  await receive(socket, 5);
  const [far] = sockets;
  link.refuse(true);
  const ends = Promise.all([closed(socket), closed(far)]);
  link.cut();
  await ends;
  await closed(await client());
  link.refuse(false);
  const again = await client();
  again.write("again");
  assert.equal(String(await receive(again, 5)), "again");
});

for (const end of ["near", "far"]) {
  test(`a half-open connection is over at its ${end} end alone, until the other is told`, async (t) => {
    const { link, sockets, client } = await echo(t);
    const socket = await client();
    socket.write("hello");
    await receive(socket, 5);
    const [far] = sockets;
    const [gone, left] = end === "near" ? [socket, far] : [far, socket];
    const over = closed(gone);
    const tell = link.halfOpen(end);
    await over;
    left.write("into nothing");
    assert.equal(left.destroyed, false);
    const told = closed(left);
    tell();
    await told;
  });
}
