// A client that asks to enter a namespace before it was answered: npm's client does that when its user connects,
// disconnects and connects again at once. npm's server answers each request; so does Parlour, and the connection's
// other namespaces notice nothing. The same script is run against both.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { ask, connected, newRoom, next, sibling, stayedConnected, unread } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { enterRaw } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

/** How long the reference thinks about a token, milliseconds: it asks somebody, as Parlour asks its middleware. */
const THOUGHT = 20;

let parlour, reference, good;
before(async () => {
  [parlour, reference] = await Promise.all([startUp(), startReference()]);
  good = await parlour.token();
  const members = reference.io.of("/members");
  members.use((socket, decide) => setTimeout(() => decide(socket.handshake.auth.token === good ? undefined : new Error("no")), THOUGHT));
  members.on("connection", (socket) => socket.on("rooms", (ack) => ack([])));
});
after(() => Promise.all([parlour.stop(), reference.stop()]));

const CONNECT = (token) => `40/members,${JSON.stringify({ token })}`;
const FENCE = '42999["rooms"]';
const isFence = (frame) => frame.startsWith("43999[");
const isAck = (frame) => frame.startsWith("43/members,7[");
const isAnswer = (frame) => /^4[04]\/members,/.test(frame);

/** What a client asks, at once; what is answered; and whether it is in then. @type {Record<string, [() => string[], boolean]>} */
const REQUESTS = {
  "a refused token twice": [() => ["bad", "bad"], false],
  "a good token twice": [() => [good, good], true],
  "a good token three times": [() => [good, good, good], true],
  "a refused one and a good one": [() => ["bad", good], true],
  "a good one and a refused one": [() => [good, "bad"], true],
  "refused, good, refused, good": [() => ["bad", good, "bad", good], true],
};

describe("each request is answered", () => {
  for (const [what, [tokens, isIn]] of Object.entries(REQUESTS)) {
    test(what, async (t) => {
      const probe = async (url) => {
        const raw = await enterRaw(t, url);
        raw.send(...tokens().map(CONNECT));
        const answers = [];
        while (answers.length < tokens().length) answers.push(...(await raw.until(isAnswer)).filter(isAnswer));
        const ids = answers.flatMap((answer) => /"sid":"([^"]*)"/.exec(answer)?.[1] ?? []);
        assert.equal(new Set(ids).size, ids.length, "each is another socket");
        // The lobby works, and the namespace where one is in it.
        const asked = (await through(raw, isIn ? ['42/members,7["rooms"]'] : [], isIn ? isAck : isFence)).map(kind);
        assert.deepEqual(await through(raw, []), []);
        // Who leaves can come again. npm's server closes the connection where both are there at once.
        if (isIn) await through(raw, ["41/members,"]);
        const again = (await through(raw, isIn ? [CONNECT(good)] : [], isIn ? isAnswer : isFence)).map(kind);
        await through(raw, []);
        return { answers: answers.map(kind), asked, again, end: raw.end };
      };
      const actual = await probe(parlour.url);
      assert.deepEqual(actual, await probe(reference.url));
      assert.deepEqual(actual.answers, tokens().map((token) => (token === good ? "40/members" : "44/members")));
    });
  }

  test("who is in and asks once more is closed", async (t) => {
    for (const { url } of [parlour, reference]) {
      const raw = await enterRaw(t, url);
      raw.send(CONNECT(good));
      await raw.until(isAnswer);
      raw.send(CONNECT(good), FENCE);
      assert.deepEqual((await raw.until(isFence)).filter((frame) => isAnswer(frame) || isFence(frame)), []);
      assert.ok(raw.end);
    }
  });
});

describe("where npm's server keeps a socket that nobody can leave, or closes the connection", () => {
  test("of several sockets of one client the last is in: it hears everything once", async (t) => {
    const room = newRoom();
    const other = await connected(t, parlour.url, { namespace: "/members", auth: { token: good } });
    await ask(other, "join", room);
    const raw = await enterRaw(t, parlour.url);
    raw.send(CONNECT(good), CONNECT(good));
    for (let n = 0; n < 2; n += 1) await raw.until(isAnswer);
    raw.send(`42/members,1["join",${JSON.stringify(room)}]`);
    await raw.until((frame) => frame.startsWith("43/members,1["));
    await ask(other, "message", { room, text: "once" });
    raw.send('42/members,2["rooms"]');
    const frames = await raw.until((frame) => frame.startsWith("43/members,2["));
    assert.equal(frames.filter((frame) => frame.includes('"once"')).length, 1, frames.join("\n"));
  });

  test("a DISCONNECT before the answer takes the request back, and nothing else", async (t) => {
    const raw = await enterRaw(t, parlour.url);
    raw.send(CONNECT(good), "41/members,");
    assert.deepEqual((await through(raw, [])).filter(isAnswer), []);
    raw.send(CONNECT(good), CONNECT("bad"), "41/members,", CONNECT(good));
    await raw.until((frame) => frame.startsWith("40/members,"));
    assert.deepEqual((await through(raw, ['42/members,7["rooms"]'], isAck)).map(kind), ["43/members"]);
  });

  test("events before the answer wait for it", async (t) => {
    const raw = await enterRaw(t, parlour.url);
    raw.send(CONNECT(good), '42/members,7["rooms"]', CONNECT(good));
    const frames = await raw.until(isAck);
    assert.ok(isAnswer(frames[0]), frames.join("\n"));
    await through(raw, []);
  });
});

describe("with npm's client", () => {
  test("connect, disconnect, connect, as React's strict mode does", async (t) => {
    for (const { url } of [parlour, reference]) {
      const lobby = await connected(t, url);
      const members = sibling(t, lobby, "/members", { token: good });
      // The reference closes the connection if its second answer crosses the next request, so it is asked once.
      const rounds = url === parlour.url ? 10 : 1;
      for (let n = 0; n < rounds; n += 1) {
        members.connect();
        members.disconnect();
        members.connect();
        await next(members, "connect");
        await ask(members, "rooms");
        members.disconnect();
        // The second answer may still come: it must have, before the next round asks.
        await ask(lobby, "rooms");
        await sleep(10 * THOUGHT);
      }
      if (url === parlour.url) stayedConnected(lobby);
    }
  });

  test("a token that is refused again and again leaves the lobby alone", async (t) => {
    for (const { url } of [parlour, reference]) {
      const lobby = await connected(t, url);
      const members = sibling(t, lobby, "/members", { token: "bad" });
      for (let n = 0; n < 3; n += 1) members.connect().disconnect();
      members.connect();
      await next(members, "connect_error");
      await ask(lobby, "rooms");
      stayedConnected(lobby);
    }
  });

  test("who asks twice for its session has it", async (t) => {
    const lobby = await connected(t, parlour.url);
    const members = sibling(t, lobby, "/members", { token: good });
    await next(members, "connect");
    const { id } = members;
    const connects = [];
    members.on("connect", () => connects.push([members.id, members.recovered]));
    lobby.io.once("open", () => {
      // Its request has left a moment ago.
      members.disconnect();
      members.connect();
    });
    lobby.io.engine.close();
    await next(members, "connect");
    while (connects.length < 2) await next(members, "connect");
    assert.deepEqual(connects[0], [id, true]);
    await ask(members, "rooms");
    assert.equal(unread(lobby, "disconnect").length, 1, "that one, and no other");
  });
});

/** Sends frames, then the fence: what comes before the fence's answer, and until `wanted`, without pings. */
async function through(raw, frames, wanted = isFence) {
  raw.send(...frames, ...(wanted === isFence ? [FENCE] : []));
  const read = await raw.until(wanted);
  return read.filter((frame) => frame !== "2" && !isFence(frame));
}

/** Of a frame, what does not differ between two servers. */
function kind(frame) {
  return /^4\d(\/members)?/.exec(frame)?.[0] ?? frame;
}
