// A client that says goodbye and is back at once, with the secret of the session that it has just ended: it always gets
// in. Middleware is not asked about who comes back to a session, so who comes back to one that has ended a moment ago
// is asked about after all.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, next, sibling, stayedConnected, unread } from "./harness/clients.mjs";
import { secrets, startApp, startPair, startRelay, startUp, token } from "./harness/parlour.mjs";
import { startWire } from "./harness/wire.mjs";

const ROUNDS = 40;

/** Comes and goes, and is let in each time. @param {(n: number) => void} [between] */
async function comeAndGo(socket, between = () => {}) {
  for (let n = 0; n < ROUNDS; n += 1) {
    socket.disconnect();
    between(n);
    socket.connect();
    await Promise.race([next(socket, "connect"), next(socket, "connect_error").then((error) => assert.fail(`${n}: ${error.message} ${JSON.stringify(error.data)}`))]);
    assert.ok(socket.active);
  }
}

for (const [how, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  describe(how, () => {
    let server, auth;
    before(async () => {
      server = await start();
      auth = { token: await server.token() };
    });
    after(() => server.stop());

    test("while another namespace holds the connection", async (t) => {
      const lobbies = await Promise.all(Array.from({ length: 10 }, () => connected(t, server.url)));
      const members = lobbies.map((lobby) => sibling(t, lobby, "/members", auth));
      await Promise.all(members.map((socket) => next(socket, "connect")));
      await Promise.all(members.map((socket) => comeAndGo(socket)));
      for (const socket of members) await ask(socket, "rooms");
      lobbies.forEach(stayedConnected);
    });

    test("with a connection of its own", async (t) => {
      const clients = Array.from({ length: 10 }, () => client(t, server.url, { namespace: "/members", auth }));
      await Promise.all(clients.map((socket) => next(socket, "connect")));
      await Promise.all(clients.map((socket) => comeAndGo(socket)));
    });

    test("with a token that has become bad meanwhile, nobody gets in", async (t) => {
      const lobby = await connected(t, server.url);
      const socket = sibling(t, lobby, "/members", { ...auth });
      await next(socket, "connect");
      socket.auth = { token: "bad" };
      for (let n = 0; n < 10; n += 1) {
        socket.disconnect().connect();
        const error = await next(socket, "connect_error");
        assert.equal(error.data.code, "invalid_token");
        socket.auth = { ...auth };
        socket.connect();
        await next(socket, "connect");
        socket.auth = { token: "bad" };
      }
      assert.deepEqual(unread(socket, "connect"), []);
    });
  });
}

test("over two relays: goodbye at the one, and back at the other", async (t) => {
  const env = secrets();
  const app = await startApp({ env });
  t.after(() => app.kill9());
  const relays = await Promise.all([1, 2].map(() => startRelay({ origin: app.url, env })));
  t.after(() => Promise.all(relays.map((relay) => relay.kill9())));
  const auth = { token: await token(app.stateDir, { env }) };
  const come = async () => {
    const wire = await startWire(t, relays[0].url);
    const socket = client(t, wire.url, { namespace: "/members", auth });
    await next(socket, "connect");
    await comeAndGo(socket, (n) => void (wire.server = relays[(n + 1) % 2].url));
  };
  await Promise.all(Array.from({ length: 8 }, come));
});
