// Clients that speak Engine.IO by hand, so that they can say what no real client would.

import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { PATIENCE } from "./clients.mjs";
import { within } from "./parlour.mjs";

/** One WebSocket whose frames are read one by one. */
export class RawSocket {
  /** @type {string[]} text as it came; binary as `<n bytes>` */
  frames = [];
  /** @type {{code: number, reason: string} | undefined} */
  end;
  #wake = () => {};

  /** @param {import("node:test").TestContext} t @param {string} url @param {string} path */
  constructor(t, url, path) {
    const address = new URL(path, url);
    address.protocol = "ws:";
    this.ws = new WebSocket(address);
    t.after(() => this.ws.terminate());
    this.ws.on("error", () => {}); // a close follows, which is what counts
    this.ws.on("message", (data, binary) => {
      this.frames.push(binary ? `<${/** @type {Buffer} */ (data).length} bytes>` : String(data));
      this.#wake();
    });
    this.ws.on("close", (code, reason) => {
      this.end = { code, reason: String(reason) };
      this.#wake();
    });
  }

  /** @param {...(string | Uint8Array)} frames */
  send(...frames) {
    for (const frame of frames) if (this.ws.readyState === WebSocket.OPEN) this.ws.send(frame);
  }

  /** Reads frames up to and with the first that `wanted` agrees to, or up to the end. */
  async until(wanted) {
    const read = [];
    const done = new Promise((found) => {
      // What comes behind it is for who asks next.
      const resolve = (_) => ((this.#wake = () => {}), found(undefined));
      this.#wake = () => {
        while (this.frames.length > 0) {
          const frame = /** @type {string} */ (this.frames.shift());
          read.push(frame);
          if (wanted(frame)) return resolve(undefined);
        }
        if (this.end) resolve(undefined);
      };
      this.#wake();
    });
    await within(PATIENCE, done, () => `neither the frame nor the end came; read: ${JSON.stringify(read)}`);
    return read;
  }

  /** Waits until the server ends it. @returns {Promise<{code: number, reason: string}>} */
  async closed() {
    await this.until(() => false);
    return /** @type {any} */ (this.end);
  }
}

/** An Engine.IO connection over WebSocket, in no namespace yet; `open` is the server's first packet. */
export async function openRaw(t, url, path = "/socket.io/") {
  const raw = new RawSocket(t, url, `${path}?EIO=4&transport=websocket`);
  const [open] = await raw.until((frame) => frame.startsWith("0"));
  if (!open) throw new Error(`the server closed the handshake: ${JSON.stringify(raw.end)}`);
  return Object.assign(raw, { open: JSON.parse(open.slice(1)) });
}

/** An Engine.IO connection over WebSocket that has entered a namespace. */
export async function enterRaw(t, url, connect = "40") {
  const raw = await openRaw(t, url);
  raw.send(connect);
  const frames = await raw.until((frame) => frame.startsWith("40"));
  // It has taken longer than a ping's interval.
  if (frames.includes("2")) raw.send("3");
  return raw;
}

/**
 * One HTTP request, whatever it may look like.
 * @param {string} url
 * @param {string} path
 * @param {{method?: string, headers?: Record<string, string>, body?: string | Uint8Array}} [options]
 * @returns {Promise<{status: number, headers: import("node:http").IncomingHttpHeaders, body: string}>}
 */
export async function http(url, path, { method = "GET", headers = {}, body } = {}) {
  const { hostname, port } = new URL(url);
  const sending = request({ hostname, port, path, method, headers, agent: false });
  const answered = Promise.race([
    once(sending, "response").then(([response]) => response),
    once(sending, "upgrade").then(([response, socket]) => (socket.destroy(), response)),
  ]);
  sending.end(body);
  const response = await within(PATIENCE, answered, () => `no answer to ${method} ${path}`);
  let text = "";
  if (response.statusCode !== 101) for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, headers: response.headers, body: text };
}

/**
 * One HTTP request, byte by byte: its lines are Latin-1. Reads the answer's head, and its body as far as
 * `content-length` says. The connection is given back with what came behind it.
 * @param {string} url @param {string[]} lines the request's line and headers
 * @param {{body?: string, socket?: import("node:net").Socket}} [options]
 */
export async function rawHttp(url, lines, { body = "", socket = openTcp(url) } = {}) {
  socket.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`, "latin1"));
  let bytes = Buffer.alloc(0);
  const parse = () => {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const headers = bytes.subarray(0, end).toString("latin1");
    const length = Number(/^content-length: (\d+)$/im.exec(headers)?.[1] ?? 0);
    const rest = bytes.subarray(end + 4);
    if (rest.length < length) return undefined;
    return { status: Number(headers.split(" ")[1]), headers, body: rest.subarray(0, length).toString(), rest: rest.subarray(length), socket };
  };
  const answered = new Promise((resolve, reject) => {
    const look = (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const answer = parse();
      if (!answer) return;
      socket.off("data", look);
      socket.pause();
      resolve(answer);
    };
    socket.on("data", look).resume();
    socket.once("close", () => reject(new Error(`closed after ${bytes.toString("latin1")}`)));
  });
  return /** @type {Promise<NonNullable<ReturnType<typeof parse>>>} */ (within(PATIENCE, answered, () => `no answer to ${lines[0]}; read: ${bytes.toString("latin1")}`));
}

/** A TCP connection to a server. */
export function openTcp(url) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {}); // a close follows
  socket.unref();
  return socket;
}

/** The headers of a WebSocket handshake. */
export const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** An Engine.IO connection over long-polling, by hand. */
export async function openPolling(url, path = "/socket.io/") {
  const { body, status } = await http(url, `${path}?EIO=4&transport=polling`);
  if (status !== 200) throw new Error(`handshake refused: ${status} ${body}`);
  const open = JSON.parse(body.slice(1));
  const at = `${path}?EIO=4&transport=polling&sid=${open.sid}`;
  return {
    open,
    /** Waits for packets. */
    poll: () => http(url, at),
    /** Sends a payload. */
    post: (payload) => http(url, at, { method: "POST", body: payload, headers: { "content-type": "text/plain;charset=UTF-8" } }),
  };
}
