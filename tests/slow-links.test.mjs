// Clients on slow links, with Socket.IO's own times: what they send counts as life while it comes. Clients that trickle,
// and slow readers, are in the relay's own tests (heartbeat.rs).

import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { frame, openWebSocket, tcp } from "./harness/attack.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";
import { openPolling } from "./harness/raw.mjs";

/** What is sent, and for how long: longer than the ping's interval and timeout together, which are 25 and 20 s. */
const BYTES = 900_000;
const SECONDS = 55;
const PIECES = SECONDS * 4;

let server;
before(async () => void (server = await startUp({ manifest: join(ROOT, "tests/conformance/spin.toml") })));
after(() => server.stop());

/** Sends it in small pieces. */
async function slowly(socket, bytes) {
  const size = Math.ceil(bytes.length / PIECES);
  for (let at = 0; at < bytes.length; at += size) {
    assert.ok(!socket.destroyed, `cut off after ${at} of ${bytes.length} bytes`);
    socket.write(bytes.subarray(at, at + size));
    await sleep((SECONDS * 1000) / PIECES);
  }
}

/** Waits until so much of a kind has come. */
function until(socket, wanted) {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (wanted(text)) resolve(text);
    });
    socket.once("close", () => reject(new Error(`closed after ${text.slice(-200)}`)));
    socket.resume();
  });
}

describe("0.9 MB in 55 seconds", { concurrency: true }, () => {
  const text = "x".repeat(BYTES);

  async function enter(t) {
    const { socket, status } = await openWebSocket(t, server.url);
    assert.equal(status, 101);
    socket.write(frame("text", "40"));
    await until(socket, (read) => read.includes("40{"));
    return socket;
  }

  test("as one message of a WebSocket", async (t) => {
    const socket = await enter(t);
    const acked = until(socket, (read) => read.includes('431["xxx'));
    await slowly(socket, frame("text", `421["message-with-ack","${text}"]`));
    await acked;
  });

  test("as an attachment of an event", async (t) => {
    const socket = await enter(t);
    const acked = until(socket, (read) => read.includes("461-1["));
    socket.write(frame("text", '451-1["message-with-ack",{"_placeholder":true,"num":0}]'));
    await slowly(socket, frame("binary", text));
    await acked;
  });

  test("as the body of a polling request", async (t) => {
    const { open, post, poll } = await openPolling(server.url);
    await post("40");
    await poll();
    const at = `/socket.io/?EIO=4&transport=polling&sid=${open.sid}`;
    const socket = await tcp(t, server.url);
    const answered = until(socket, (read) => read.endsWith("ok"));
    const body = Buffer.from(`421["message-with-ack","${text}"]`);
    socket.write(`POST ${at} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
    // It polls meanwhile, as clients do, and hears pings that it cannot answer yet.
    let acked = false;
    const polling = (async () => {
      while (!acked) {
        const answer = await fetch(server.url + at);
        const packets = await answer.text();
        assert.equal(answer.status, 200, packets);
        acked = packets.includes('431["xxx');
      }
    })();
    await slowly(socket, body);
    await answered;
    await polling;
  });
});
