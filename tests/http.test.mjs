// HTTP as proxies and clients really speak it: old versions, odd bytes, many headers, subprotocols, clients without
// binary. npm's Socket.IO server is asked the same.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { ask, connected } from "./harness/clients.mjs";
import { frame } from "./harness/attack.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";
import { UPGRADE, RawSocket, http, openPolling, openTcp, rawHttp } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

/** What the conformance tests' application sends. */
const PICTURE = Buffer.from("asdfasdf");
const AT = (transport, more = "") => `/socket.io/?EIO=4&transport=${transport}${more}`;

let parlour, reference;
before(async () => {
  [parlour, reference] = await Promise.all([startUp({ manifest: join(ROOT, "tests/conformance/client-suite/spin.toml") }), startReference()]);
  reference.io.on("connection", (socket) => {
    socket.on("getHandshake", (ack) => ack(socket.handshake));
    socket.on("getbin", () => socket.emit("takebin", PICTURE));
  });
});
after(() => Promise.all([parlour.stop(), reference.stop()]));

/** What both say must be the same. @param {(url: string) => Promise<any>} probe */
async function alike(probe) {
  const actual = await probe(parlour.url);
  assert.deepEqual(actual, await probe(reference.url));
  return actual;
}

/** A handshake, line by line. */
const lines = (path, version, headers) => [`GET ${path} HTTP/${version}`, ...Object.entries({ Host: "x", ...headers }).map(([name, value]) => `${name}: ${value}`)];

describe("HTTP/1.0", () => {
  test("an upgrade is one", async () => {
    await alike(async (url) => {
      const { status, headers, rest, socket } = await rawHttp(url, lines(AT("websocket"), "1.0", UPGRADE));
      const texts = readTexts(socket, rest);
      socket.write(frame("text", "40"));
      const open = await texts();
      const connect = await texts();
      socket.destroy();
      const accept = /^sec-websocket-accept: (\S+)$/im.exec(headers)?.[1];
      return [status, accept, open.slice(0, 2), connect.slice(0, 3)];
    });
  });

  test("an upgrade from polling is one", async () => {
    await alike(async (url) => {
      const { open } = await openPolling(url);
      const { status, rest, socket } = await rawHttp(url, lines(AT("websocket", `&sid=${open.sid}`), "1.0", UPGRADE));
      const texts = readTexts(socket, rest);
      socket.write(frame("text", "2probe"));
      const probed = await texts();
      socket.write(Buffer.concat([frame("text", "5"), frame("text", "40")]));
      const connect = await texts();
      socket.destroy();
      return [status, probed, connect.slice(0, 3)];
    });
  });

  test("an upgrade that is none is answered in words", async () => {
    const { "sec-websocket-key": _, ...without } = UPGRADE;
    await alike(async (url) => {
      const { status, body } = await rawHttp(url, lines(AT("websocket"), "1.0", without));
      return [status, body];
    });
  });

  for (const [what, headers] of Object.entries({ "without keep-alive": {}, "with keep-alive": { Connection: "keep-alive" } })) {
    test(`polling works ${what}`, async () => {
      await alike(async (url) => {
        const opened = await rawHttp(url, lines(AT("polling"), "1.0", headers));
        const { sid } = JSON.parse(opened.body.slice(1));
        const isKept = "Connection" in headers;
        const socket = () => (isKept ? opened.socket : openTcp(url));
        const at = AT("polling", `&sid=${sid}`);
        const post = ["POST " + at + " HTTP/1.0", "Host: x", ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), "Content-Length: 2"];
        const posted = await rawHttp(url, post, { body: "40", socket: socket() });
        const polled = await rawHttp(url, lines(at, "1.0", headers), { socket: socket() });
        if (!isKept) await ended(opened.socket);
        opened.socket.destroy();
        return [opened.status, posted.status, posted.body, polled.status, polled.body.slice(0, 3)];
      });
    });
  }
});

describe("a WebSocket's subprotocol", () => {
  test("the first that is asked for is selected", async (t) => {
    for (const asked of [["chat"], ["b", "a"], []]) {
      const selected = await alike(async (url) => {
        const ws = new WebSocket(url.replace("http", "ws") + AT("websocket"), asked);
        t.after(() => ws.terminate());
        await new Promise((open, failed) => ws.once("open", open).once("error", failed));
        return ws.protocol;
      });
      assert.equal(selected, asked[0] ?? "");
    }
  });

  test("a list that is none is refused in words", async () => {
    for (const list of ["a,", "a, a", ",", "a b"]) {
      await alike(async (url) => {
        const { status, body } = await http(url, AT("websocket"), { headers: { ...UPGRADE, "sec-websocket-protocol": list } });
        return [list, status, body];
      });
    }
  });

  test("socket.io-client asks for one and has it", async (t) => {
    const socket = await connected(t, parlour.url, { protocols: ["chat", "other"] });
    assert.equal(/** @type {any} */ (socket.io.engine.transport).ws.protocol, "chat");
  });
});

describe("headers", () => {
  /** What the app was told of a client's headers. */
  async function told(url, headers) {
    const opened = await rawHttp(url, lines(AT("polling"), "1.1", headers));
    assert.equal(opened.status, 200, opened.headers);
    opened.socket.destroy();
    const at = AT("polling", `&sid=${JSON.parse(opened.body.slice(1)).sid}`);
    await http(url, at, { method: "POST", body: "40" });
    await http(url, at);
    await http(url, at, { method: "POST", body: '420["getHandshake"]' });
    for (;;) {
      const { body } = await http(url, at);
      const packet = body.split("\x1e").find((packet) => packet.startsWith("430["));
      if (packet) return JSON.parse(packet.slice(3))[0].headers;
    }
  }

  test("each byte is a character, as Node.js has it", async () => {
    const odd = { Cookie: "name=Jos\xe9; a=b", "User-Agent": "caf\xe9/1.0", Origin: "http://ex\xe4mple", "X-Utf8": "\xc3\xa9", "X-Plain": "plain" };
    const seen = await alike(async (url) => {
      const headers = await told(url, odd);
      return Object.fromEntries(Object.keys(odd).map((name) => [name, headers[name.toLowerCase()]]));
    });
    assert.deepEqual(seen, odd);
  });

  test("hundreds of them are no problem", async () => {
    const some = (length) => Object.fromEntries(Array.from({ length }, (_, n) => [`x${n}`, "v"]));
    const missing = async (url, many) => {
      const headers = await told(url, many);
      return Object.keys(many).filter((name) => headers[name] !== "v");
    };
    assert.deepEqual(await alike((url) => missing(url, some(900))), []);
    // Node.js leaves out those beyond its thousandth.
    const many = some(1500);
    assert.deepEqual(await missing(parlour.url, many), []);
    const { status, socket } = await rawHttp(parlour.url, lines(AT("websocket"), "1.1", { ...many, ...UPGRADE }));
    socket.destroy();
    assert.equal(status, 101);
  });

  test("sixteen KiB of them are too much", async () => {
    for (const [bytes, status] of /** @type {const} */ ([[15_000, 200], [17_000, 431]])) {
      const long = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`x-${String(n).padStart(3, "0")}`, "v".repeat(bytes / 100 - 9)]));
      await alike(async (url) => {
        const answer = await rawHttp(url, lines(AT("polling"), "1.1", long));
        answer.socket.destroy();
        return answer.status;
      });
      assert.equal((await http(parlour.url, AT("polling"), { headers: long })).status, status);
    }
  });

  test("an origin with an odd byte is not the one without it", async (t) => {
    const server = await startUp({ args: ["--variable", "allowed_origins=https://chat.example"] });
    t.after(() => server.stop());
    const status = async (origin) => {
      const { status, socket } = await rawHttp(server.url, lines(AT("polling"), "1.1", { Origin: origin }));
      socket.destroy();
      return status;
    };
    assert.equal(await status("https://chat.example"), 200);
    assert.equal(await status("https://chat.example\xe9"), 403);
  });
});

describe("a client that takes no binary frames", () => {
  const picture = `b${PICTURE.toString("base64")}`;

  for (const [query, takes] of Object.entries({ "&b64=1": false, "&b64=0": false, "&b64=": true, "": true })) {
    test(`${query || "and one that does"}: over WebSocket`, async (t) => {
      const frames = await alike(async (url) => {
        const raw = new RawSocket(t, url, AT("websocket", query));
        raw.ws.once("open", () => raw.send("40"));
        await raw.until((frame) => frame.startsWith("40"));
        raw.send('42["getbin"]');
        const frames = await raw.until((frame) => !frame.startsWith("4") && frame !== "2");
        return frames.slice(-2).map((frame) => frame.replace(/,"[^"]*"\]$/, "]"));
      });
      assert.deepEqual(frames, ['451-["takebin",{"_placeholder":true,"num":0}]', takes ? "<8 bytes>" : picture]);
    });
  }

  test("after polling, too", async (t) => {
    await alike(async (url) => {
      const { open, post } = await openPolling(url);
      await post("40");
      const raw = new RawSocket(t, url, AT("websocket", `&b64=1&sid=${open.sid}`));
      raw.ws.once("open", () => raw.send("2probe"));
      await raw.until((frame) => frame === "3probe");
      raw.send("5", '42["getbin"]');
      return (await raw.until((frame) => frame.startsWith("b"))).at(-1);
    });
  });

  test("what many get arrives at each in its own way", async (t) => {
    const server = await startUp({ manifest: join(ROOT, "tests/features/spin.toml") });
    t.after(() => server.stop());
    const plain = await connected(t, server.url);
    const raw = new RawSocket(t, server.url, AT("websocket", "&b64=1"));
    raw.ws.once("open", () => raw.send("40"));
    await raw.until((frame) => frame.startsWith("40"));
    const heard = new Promise((resolve) => plain.once("said", resolve));
    await ask(plain, "emit", { whom: {}, event: "said", args: [PICTURE] });
    assert.deepEqual(Buffer.from(await heard), PICTURE);
    const frames = await raw.until((frame) => frame.startsWith("b") || frame.startsWith("<"));
    assert.equal(frames.at(-1), picture);
  });
});

/** Reads unmasked text frames, short or of 16-bit length, one after the other. */
function readTexts(socket, rest) {
  let bytes = rest;
  let wake = () => {};
  socket.on("data", (chunk) => ((bytes = Buffer.concat([bytes, chunk])), wake())).resume();
  return async () => {
    for (;;) {
      const [length, at] = bytes[1] === 126 ? [bytes.readUInt16BE(2), 4] : [bytes[1], 2];
      if (bytes.length >= 2 && bytes.length >= at + length) {
        const text = bytes.subarray(at, at + length).toString();
        bytes = bytes.subarray(at + length);
        return text;
      }
      await new Promise((resolve) => (wake = () => resolve(undefined)));
    }
  };
}

/** Waits until the server has closed a connection. */
async function ended(socket) {
  if (socket.readableEnded || socket.destroyed) return;
  await new Promise((resolve) => socket.once("end", resolve).once("close", resolve).resume());
}
