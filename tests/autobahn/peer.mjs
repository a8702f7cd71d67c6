// The client's side of RFC 6455 by hand: any frame can be sent, in any pieces, and each frame that comes is checked.
// It knows nothing of Engine.IO.

import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { PATIENCE } from "../harness/clients.mjs";
import { within } from "../harness/parlour.mjs";

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/**
 * A client's frame.
 * @param {number} opcode
 * @param {string | Uint8Array} payload
 * @param {{fin?: boolean, rsv?: number}} options
 */
export function frame(opcode, payload = "", { fin = true, rsv = 0 } = {}) {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const length = Buffer.alloc(8);
  if (data.length < 126) head.push(0x80 | data.length);
  else if (data.length < 65_536) {
    length.writeUInt16BE(data.length);
    head.push(0x80 | 126, ...length.subarray(0, 2));
  } else {
    length.writeBigUInt64BE(BigInt(data.length));
    head.push(0x80 | 127, ...length);
  }
  const mask = randomBytes(4);
  const masked = Buffer.alloc(data.length);
  for (let n = 0; n < data.length; n++) masked[n] = data[n] ^ mask[n % 4];
  return Buffer.concat([Buffer.from(head), mask, masked]);
}

/** A message in fragments of a size, as frames. */
export function fragmented(opcode, payload, size) {
  const data = Buffer.from(payload);
  const parts = [];
  for (let at = 0; at < data.length; at += size) parts.push(data.subarray(at, at + size));
  return fragments(opcode, parts);
}

/** A message whose fragments are given, as frames. */
export function fragments(opcode, parts) {
  return parts.map((part, n) => frame(n === 0 ? opcode : 0, part, { fin: n === parts.length - 1 }));
}

export function closeFrame(code, reason = "") {
  const payload = Buffer.alloc(code === undefined ? 0 : 2);
  if (code !== undefined) payload.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([payload, Buffer.from(reason)]));
}

/** One WebSocket. */
export class Peer {
  /** @type {{opcode: number, data: Buffer}[]} frames that came and were not taken yet */
  #frames = [];
  #received = Buffer.alloc(0);
  #wake = () => {};
  #ended = false;

  /** @param {import("node:test").TestContext} t @param {string} url where the WebSocket is */
  static async open(t, url) {
    const { hostname, port, pathname, search } = new URL(url);
    const peer = new Peer();
    peer.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    t.after(() => peer.socket.destroy());
    peer.socket.on("error", () => {}); // the end follows, which is what counts
    peer.socket.on("data", (bytes) => peer.#take(bytes));
    peer.socket.on("close", () => {
      peer.#ended = true;
      peer.#wake();
    });
    const key = randomBytes(16).toString("base64");
    peer.socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    const head = await peer.#until(() => peer.head);
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    if (!/^HTTP\/1.1 101 /.test(head) || !head.toLowerCase().includes(`sec-websocket-accept: ${accept.toLowerCase()}`)) {
      throw new Error(`the WebSocket was refused: ${head}`);
    }
    return peer;
  }

  /** Sends these bytes; in pieces of a size, if it is given, each in a write of its own. */
  async send(bytes, piece = Infinity) {
    const all = Array.isArray(bytes) ? Buffer.concat(bytes) : bytes;
    for (let at = 0; at < all.length; at += piece) {
      if (this.#ended || !this.socket.writable) return;
      const part = all.subarray(at, Math.min(at + piece, all.length));
      await new Promise((done) => this.socket.write(part, done));
    }
  }

  /** The next frame; undefined once the server has closed the connection. */
  async next() {
    await this.#until(() => this.#frames.length > 0 || this.#ended);
    return this.#frames.shift();
  }

  /** The next message: what its frames have together. Control frames before it are given as they are. */
  async message() {
    const first = await this.next();
    if (!first || first.opcode >= 8 || first.fin) return first;
    throw new Error("the server sent a fragmented message, which it has no reason for");
  }

  #take(bytes) {
    this.#received = this.#received.length ? Buffer.concat([this.#received, bytes]) : bytes;
    if (this.head === undefined) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#received.subarray(0, end).toString();
      this.#received = this.#received.subarray(end + 4);
    }
    while (this.#takeFrame());
    this.#wake();
  }

  #takeFrame() {
    const bytes = this.#received;
    if (bytes.length < 2) return false;
    const [first, second] = bytes;
    let [length, at] = [second & 0x7f, 2];
    if (length === 126) {
      if (bytes.length < 4) return false;
      [length, at] = [bytes.readUInt16BE(2), 4];
      this.#require(length > 125, "a length in more bytes than it needs");
    } else if (length === 127) {
      if (bytes.length < 10) return false;
      [length, at] = [Number(bytes.readBigUInt64BE(2)), 10];
      this.#require(length > 65_535, "a length in more bytes than it needs");
    }
    if (bytes.length < at + length) return false;
    const [fin, opcode] = [(first & 0x80) !== 0, first & 0x0f];
    this.#require((first & 0x70) === 0, "a reserved bit");
    this.#require((second & 0x80) === 0, "a masked frame");
    this.#require([0, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode), `opcode ${opcode}`);
    this.#require(opcode < 8 || (fin && length <= 125), "a control frame that is too long or fragmented");
    this.#frames.push({ opcode, fin, data: bytes.subarray(at, at + length) });
    this.#received = bytes.subarray(at + length);
    return true;
  }

  #require(legal, what) {
    if (!legal) this.violation ??= `the server sent ${what}`;
  }

  async #until(found) {
    const waiting = new Promise((resolve) => {
      this.#wake = () => {
        const what = found();
        if (what) resolve(what);
      };
      this.#wake();
    });
    const what = await within(PATIENCE, waiting, () => `nothing came; kept: ${JSON.stringify(this.#frames.slice(0, 3))}`);
    if (this.violation) throw new Error(this.violation);
    return what;
  }
}
