// Whose a session is: what the database gives away of it, who gets it, how long it lasts. Recovery itself is in
// recovery.test.mjs, tokens as such in tokens.test.mjs.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, newRoom, next, stayedConnected, unread } from "./harness/clients.mjs";
import { ROOT, filesBelow, startPair, startUp } from "./harness/parlour.mjs";
import { startWire } from "./harness/wire.mjs";

const manifest = join(ROOT, "tests/features/spin.toml");
const SECRET = "a secret that only this test and its server know";
const env = { SPIN_VARIABLE_AUTH_SECRET: SECRET, SPIN_VARIABLE_RELAY_SECRET: "the relay's" };

/** A token that ends in so many milliseconds. */
function token(claims, milliseconds) {
  const encoded = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const exp = (Date.now() + milliseconds) / 1000;
  const signed = `${encoded({ alg: "HS256" })}.${encoded({ sub: "ada", exp, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

const guarded = (token) => ({ namespace: "/guarded", auth: { token } });

/** A client that says it has the session with this secret. @returns {any} */
function claiming(t, url, pid, options) {
  const socket = client(t, url, { ...options, autoConnect: false });
  /** @type {any} */ (socket)._pid = pid;
  return socket.connect();
}

for (const [how, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  describe(how, () => {
    let server;
    before(async () => void (server = await start({ manifest, env })));
    after(() => server.stop());

    test("what is in the database lets nobody in", async (t) => {
      /** @type {any} */
      const owner = await connected(t, server.url, guarded(token({}, 600_000)));
      const { id, _pid: pid } = owner;
      const connection = owner.io.engine.id;
      await ask(owner, "join", [newRoom()]);
      owner.io.reconnection(false);
      owner.io.engine.close();
      await next(owner, "disconnect");
      // Whoever asks after that finds everything committed.
      await ask(await connected(t, server.url, guarded(token({}, 600_000))), "join", [newRoom()]);

      const files = (await filesBelow(server.stateDir)).filter((file) => file.includes(".db"));
      assert.ok(files.length > 0);
      for (const file of files) {
        const bytes = await readFile(file, "latin1");
        for (const secret of [pid, connection]) assert.ok(!bytes.includes(secret), `${file} has a client's secret`);
      }
      const digest = createHash("sha256").update(pid).digest("hex");
      const thief = claiming(t, server.url, digest, { namespace: "/guarded", auth: {}, reconnection: false });
      assert.equal((await next(thief, "connect_error")).data.code, "missing_token");

      // The secret itself does.
      owner.connect();
      await next(owner, "connect", () => owner.recovered);
      assert.equal(owner.id, id);
    });

    test("a secret that is used while its owner is there makes a new socket, and the owner notices nothing", async (t) => {
      /** @type {any} */
      const owner = await connected(t, server.url, guarded(token({}, 600_000)));
      await ask(owner, "join", [newRoom()]);

      // It is judged as anybody is.
      const thief = claiming(t, server.url, owner._pid, { namespace: "/guarded", auth: {}, reconnection: false });
      assert.equal((await next(thief, "connect_error")).data.code, "missing_token");
      const other = claiming(t, server.url, owner._pid, guarded(token({ sub: "ben" }, 600_000)));
      await next(other, "connect");

      assert.equal(other.recovered, false);
      assert.notEqual(other.id, owner.id);
      assert.deepEqual((await ask(other, "about")).rooms, []);
      assert.equal((await ask(owner, "about")).rooms.length, 1);
      stayedConnected(owner);
    });

    test("a client whose old connection is dead, and nobody knows, has its session back", async (t) => {
      const wire = await startWire(t, server.url);
      const owner = await connected(t, wire.url, guarded(token({}, 600_000)));
      const { id } = owner;
      await ask(owner, "join", [newRoom()]);
      wire.cut();
      await next(owner, "disconnect");
      await next(owner, "connect", () => owner.recovered);
      assert.equal(owner.id, id);
      assert.equal((await ask(owner, "about")).rooms.length, 1);
    });

    test("a socket is disconnected when its token ends, and its session is over", async (t) => {
      const watcher = await connected(t, server.url, guarded(token({ sub: "ben" }, 600_000)));
      await ask(watcher, "join", ["watchers"]);
      /** @type {any} */
      const short = await connected(t, server.url, guarded(token({}, 2000)));
      const { id, _pid: pid } = short;

      assert.equal(await next(short, "disconnect"), "io server disconnect");
      const heard = [];
      watcher.on("saw", (...args) => heard.push(args));
      await next(watcher, "saw", (what, who) => what === "disconnect" && who === id);
      assert.ok(heard.every(([, who, , reason]) => who !== id || reason === "token expired"), JSON.stringify(heard));
      short._pid = pid;
      short.connect();
      assert.equal((await next(short, "connect_error")).data.code, "expired_token");
      stayedConnected(watcher);
    });

    test("a session whose connection was lost ends with its token, too", async (t) => {
      const wire = await startWire(t, server.url);
      /** @type {any} */
      const short = await connected(t, wire.url, guarded(token({}, 2000)));
      const { id, auth, _pid: pid } = short;
      wire.open = false;
      wire.tear();
      await next(short, "disconnect");
      await ends(auth.token);
      short.auth = { token: token({}, 600_000) };
      wire.open = true;
      await next(short, "connect");
      assert.equal(short.recovered, false);
      assert.notEqual(short.id, id);
      assert.notEqual(short._pid, pid);
    });

    test("with another token in time a socket stays, as whom that says", async (t) => {
      const soon = 5000;
      const socket = await connected(t, server.url, guarded(token({ role: "guest" }, soon)));
      const witness = await connected(t, server.url, guarded(token({ sub: "ben" }, soon)));
      const { id } = socket;
      const role = async () => (await ask(socket, "about")).claims.role;

      for (const [bad, code] of [
        ["forged", "invalid_token"],
        [token({}, -1000), "expired_token"],
        [token({ sub: "eve" }, 600_000), "another_subject"],
      ]) {
        const { error } = await ask(socket, "auth", { token: bad });
        assert.equal(error.code, code);
        assert.equal(typeof error.message, "string");
      }
      assert.equal(await role(), "guest");

      const { expires } = await ask(socket, "auth", { token: token({ role: "admin" }, 600_000) });
      assert.ok(expires > Date.now() + 300_000);
      assert.equal(await role(), "admin");
      assert.equal(await next(witness, "disconnect"), "io server disconnect");
      assert.equal(await role(), "admin");
      stayedConnected(socket);
      assert.deepEqual(unread(socket, "connect_error"), []);

      // The session has the new claims.
      socket.io.engine.close();
      await next(socket, "disconnect");
      await next(socket, "connect", () => socket.recovered);
      assert.equal(socket.id, id);
      assert.equal(await role(), "admin");
    });
  });
}

/** Resolves when a token has ended: nothing else says so. */
function ends(token) {
  const { exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
  return new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 50));
}
