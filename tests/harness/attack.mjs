// Clients that mean harm: bare TCP connections that send what they like, as fast as they can, and read
// only if they want to. And what an attack costs: a process's memory, and how long others have to wait.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { ask } from "./clients.mjs";

const OPCODE = { text: 0x81, binary: 0x82, ping: 0x89 };

/** A client's WebSocket frame. Its mask is zero, which is a legal one. @param {keyof OPCODE} kind */
export function frame(kind, payload) {
  const body = Buffer.from(payload);
  let length;
  if (body.length < 126) length = Buffer.from([body.length | 0x80]);
  else if (body.length < 65_536) length = Buffer.from([126 | 0x80, body.length >> 8, body.length & 255]);
  else {
    length = Buffer.alloc(9);
    length[0] = 127 | 0x80;
    length.writeBigUInt64BE(BigInt(body.length), 1);
  }
  return Buffer.concat([Buffer.from([OPCODE[kind]]), length, Buffer.alloc(4), body]);
}

/** The connections that each test has made. @type {WeakMap<object, import("node:net").Socket[]>} */
const made = new WeakMap();

/** Ends all connections of a test's attackers. */
export function hangUp(t) {
  for (const socket of made.get(t) ?? []) socket.destroy();
}

/** A TCP connection that is closed when the test ends. */
export async function tcp(t, url) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {}); // the server may end it
  if (!made.has(t)) {
    made.set(t, []);
    t.after(() => hangUp(t));
  }
  made.get(t)?.push(socket);
  await new Promise((resolve) => (socket.once("connect", resolve), socket.once("close", resolve)));
  return socket;
}

/** The head of an answer, once it has come. What follows it is left in the socket. */
export async function head(socket) {
  let text = "";
  while (!text.includes("\r\n\r\n")) {
    if (socket.destroyed || socket.readableEnded) return text;
    const chunk = socket.read();
    if (chunk === null) await new Promise((resolve) => (socket.once("readable", resolve), socket.once("close", resolve)));
    else text += chunk.toString("latin1");
  }
  return text;
}

/** An Engine.IO connection over WebSocket that reads nothing more. @param {{query?: string, headers?: string[]}} options */
export async function openWebSocket(t, url, { query = "", headers = [] } = {}) {
  const socket = await tcp(t, url);
  const lines = [
    `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1`,
    "Host: x",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    ...headers,
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const answer = await head(socket);
  return { socket, status: Number(answer.split(" ")[1]), answer };
}

/** Sends a chunk again and again, as far as it is taken, until the connection ends or `over` says so. */
export async function flood(socket, chunk, over) {
  let sent = 0;
  while (!socket.destroyed && !over()) {
    sent += chunk.length;
    if (!socket.write(chunk)) await Promise.race([drained(socket), over.promise]);
  }
  return sent;
}

/** Until a connection takes more, or is over. */
export function drained(socket) {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "close"]) socket.off(event, done);
      resolve(undefined);
    };
    for (const event of ["drain", "close"]) socket.on(event, done);
    if (socket.destroyed) done();
  });
}

/** So many attackers at once. */
export const several = (count, act) => Array.from({ length: count }, (_, index) => act(index));

/** Something that will be over: to be asked, and to be awaited. */
export function ending() {
  let isOver = false;
  /** @type {() => void} */
  let end = () => {};
  const promise = new Promise((resolve) => (end = () => ((isOver = true), resolve(undefined))));
  return Object.assign(() => isOver, { promise, end });
}

/** Bytes of memory that a process has now, and the most that it ever had. */
export async function memory(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  return { now: bytes("VmRSS"), most: bytes("VmHWM") };
}

/** Milliseconds for which a process has had a core, to 10 ms. */
export async function cpuTime(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // Fields are counted after the command, which is in parentheses. Their unit is 10 ms.
  const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13);
  return 10 * (Number(user) + Number(system));
}

/** Asks one question after the other. The times that the answers took, milliseconds, in order. */
export async function times(socket, count) {
  const times = [];
  for (let index = 0; index < count; index += 1) {
    const start = performance.now();
    await ask(socket, "rooms");
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

/** Of times in order, what 99 of 100 did not exceed. */
export const p99 = (times) => times[Math.floor(times.length * 0.99)];
