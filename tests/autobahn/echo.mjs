// How the suite's echo is reached through Engine.IO and Socket.IO: the text or the binary data is the argument of an
// event that the conformance application acknowledges with its arguments.

import assert from "node:assert/strict";
import { BINARY, CLOSE, PONG, Peer, TEXT, closeFrame, frame } from "./peer.mjs";

/** What comes before and after a text, in the message that has it. */
const BEFORE = '421["echo","';
const AFTER = '"]';
const ANSWER_BEFORE = '431["';
const ANSWER_AFTER = '"]';
/** The message that a binary one belongs to, and that of its answer. */
const BINARY_HEAD = '451-1["echo",{"_placeholder":true,"num":0}]';
const BINARY_ANSWER_HEAD = '461-1[{"_placeholder":true,"num":0}]';

/** The shortest message with a text, and the shortest answer. */
export const TEXT_OVERHEAD = BEFORE.length + AFTER.length;
export const ANSWER_OVERHEAD = ANSWER_BEFORE.length + ANSWER_AFTER.length;

/** The payload of a text message that asks for this text. @param {string | Uint8Array} text */
export function asking(text) {
  return Buffer.concat([Buffer.from(BEFORE), Buffer.from(text), Buffer.from(AFTER)]);
}

/** A client in the namespace of the conformance application: it has said CONNECT and taken what comes of it. */
export async function enter(t, url) {
  const peer = await Peer.open(t, `${url}/socket.io/?EIO=4&transport=websocket`);
  assert.equal(String((await peer.next())?.data[0]), String("0".charCodeAt(0)), "Engine.IO's open packet");
  await peer.send(frame(TEXT, "40"));
  assert.match(String((await peer.next())?.data), /^40\{/);
  assert.match(String((await peer.next())?.data), /^42\["auth"/);
  return peer;
}

/** Sends binary data in these frames, with the message that announces it. */
export async function sendBinary(peer, frames, piece) {
  await peer.send(frame(TEXT, BINARY_HEAD));
  await peer.send(frames, piece);
}

/** The next frame is the text's echo. @param {string | Uint8Array} text */
export async function echoed(peer, text) {
  const answer = await peer.next();
  assert.equal(answer?.opcode, TEXT, shown(answer));
  const expected = Buffer.concat([Buffer.from(ANSWER_BEFORE), Buffer.from(text), Buffer.from(ANSWER_AFTER)]);
  assert.ok(answer.data.equals(expected), shown(answer));
}

/** The next frames are the binary data's echo. */
export async function echoedBinary(peer, data) {
  assert.equal(String((await peer.next())?.data), BINARY_ANSWER_HEAD);
  const answer = await peer.next();
  assert.equal(answer?.opcode, BINARY);
  assert.ok(answer.data.equals(Buffer.from(data)), shown(answer));
}

/** The next frame is a pong with this payload. */
export async function ponged(peer, payload = "") {
  const pong = await peer.next();
  assert.equal(pong?.opcode, PONG, shown(pong));
  assert.ok(pong.data.equals(Buffer.from(payload)));
}

/** The server closes with one of these codes, and nothing comes before; undefined is a close frame without one. */
export async function closed(peer, ...codes) {
  const close = await peer.next();
  assert.equal(close?.opcode, CLOSE, shown(close));
  const code = close.data.length ? close.data.readUInt16BE() : undefined;
  assert.ok(codes.includes(code), `closed with ${code}, expected ${codes}`);
  assert.equal(await peer.next(), undefined, "nothing comes after a close frame");
}

/** As `closed`; but the echo of a text that came before the violation may have been sent, or not. */
export async function closedAfterText(peer, text, code) {
  const first = await peer.next();
  if (first?.opcode === CLOSE) return assert.equal(first.data.readUInt16BE(), code);
  assert.ok(first?.data.includes(text), shown(first));
  await closed(peer, code);
}

/** The client closes, the server answers: a clean close. */
export async function closes(peer) {
  await peer.send(closeFrame(1000));
  await closed(peer, 1000);
}

function shown(answer) {
  return answer ? `opcode ${answer.opcode}, ${answer.data.length} bytes: ${answer.data.subarray(0, 200)}` : "the end";
}
