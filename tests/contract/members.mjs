// What is /members' alone: only tokens let in, and what is said can be for everyone there.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { ask, client, connected, heardNo, newRoom, next, sibling, stayedConnected, unread } from "../harness/clients.mjs";

const NAMESPACE = "/members";

/** @param {() => import("../harness/parlour.mjs").Server} server */
export function members(server) {
  const enter = async (t, name) =>
    connected(t, server().url, { namespace: NAMESPACE, auth: { token: await server().token({ sub: name.toLowerCase(), name }) } });
  const refused = async (t, code, options) => {
    const socket = client(t, server().url, { namespace: NAMESPACE, ...options });
    const error = await next(socket, "connect_error");
    assert.equal(error.data?.code, code, error.message);
    assert.ok(error.message.length > 0);
    assert.deepEqual(unread(socket, "connect"), []);
    assert.equal(socket.connected, false);
  };

  describe("/members", () => {
    test("admits with a good token, and the token says who one is", async (t) => {
      const room = newRoom();
      const token = await server().token({ sub: "lovelace", name: "Ada Lovelace" });
      const ada = await connected(t, server().url, { namespace: NAMESPACE, auth: { token, name: "Somebody Else" } });

      const joined = await ask(ada, "join", room);

      assert.deepEqual(joined.members, [{ id: "lovelace", name: "Ada Lovelace" }]);
    });

    test("admits with the token in an Authorization header", async (t) => {
      const token = await server().token({ sub: "lovelace", name: "Ada" });
      const extraHeaders = { authorization: `Bearer ${token}` };

      const ada = await connected(t, server().url, { namespace: NAMESPACE, extraHeaders });

      assert.equal((await ask(ada, "join", newRoom())).members[0].id, "lovelace");
    });

    test("refuses without a token", async (t) => {
      await refused(t, "missing_token", {});
      await refused(t, "missing_token", { auth: { name: "Eve" } });
    });

    test("refuses an expired token", async (t) => {
      const token = await server().token({ sub: "eve", name: "Eve", ttl: 0 });
      await refused(t, "expired_token", { auth: { token } });
    });

    test("refuses a forged token", async (t) => {
      const [head, body, signature] = (await server().token({ sub: "eve", name: "Eve" })).split(".");
      const admin = encoded({ ...JSON.parse(Buffer.from(body, "base64url").toString()), sub: "admin" });
      const claims = { sub: "eve", name: "Eve", exp: Math.floor(Date.now() / 1000) + 3600 };
      const forgeries = {
        "another's signature under changed claims": `${head}.${admin}.${signature}`,
        "signed with a guessed secret": hs256({ alg: "HS256", typ: "JWT" }, claims, "secret"),
        "signed with an empty secret": hs256({ alg: "HS256", typ: "JWT" }, claims, ""),
        "no algorithm, no signature": `${encoded({ alg: "none" })}.${encoded(claims)}.`,
        "another algorithm's name": `${encoded({ alg: "HS512", typ: "JWT" })}.${body}.${signature}`,
        "a signature cut short": `${head}.${body}.${signature.slice(0, 20)}`,
        "no signature": `${head}.${body}.`,
        "not a token": "let me in",
        "two dots": "..",
      };
      for (const token of Object.values(forgeries)) await refused(t, "invalid_token", { auth: { token } });
    });

    test("refuses in words, not only in codes", async (t) => {
      const socket = client(t, server().url, { namespace: NAMESPACE });
      const error = await next(socket, "connect_error");
      assert.match(error.message, /token/i);
    });

    test("announce reaches every connected member, the sender included, in whatever room", async (t) => {
      const [ada, ben, cora] = [await enter(t, "Ada"), await enter(t, "Ben"), await enter(t, "Cora")];
      await ask(ben, "join", newRoom());
      const guest = await connected(t, server().url);

      const { at } = await ask(ada, "announce", "the library closes at ten");

      for (const member of [ada, ben, cora]) {
        assert.deepEqual(await next(member, "announcement"), {
          text: "the library closes at ten",
          from: { id: "ada", name: "Ada" },
          at,
        });
      }
      await heardNo(guest, "announcement");
    });

    test("shout reaches every connected member but the sender", async (t) => {
      const [ada, ben, cora] = [await enter(t, "Ada"), await enter(t, "Ben"), await enter(t, "Cora")];

      const { at } = await ask(ada, "shout", "anyone for tea?");

      for (const member of [ben, cora]) {
        const from = { id: "ada", name: "Ada" };
        assert.deepEqual(await next(member, "shout"), { text: "anyone for tea?", from, at });
      }
      await heardNo(ada, "shout");
    });

    test("an announcement or a shout that is no text is refused and reaches nobody", async (t) => {
      const [ada, ben] = [await enter(t, "Ada"), await enter(t, "Ben")];

      for (const event of ["announce", "shout"]) {
        for (const wrong of [undefined, null, 7, {}, [], ""]) {
          assert.equal((await ask(ada, event, wrong)).error?.code, "bad_request", `${event} ${JSON.stringify(wrong)}`);
        }
        assert.equal((await ask(ada, event, "x".repeat(900_000))).error?.code, "too_large");
      }

      await heardNo(ben, "announcement");
      await heardNo(ben, "shout");
      stayedConnected(ada);
    });

    test("the lobby knows neither announce nor shout", async (t) => {
      const [ada, ben] = [await connected(t, server().url), await connected(t, server().url)];
      ada.emit("announce", "everyone!");
      ada.emit("shout", "everyone!");
      await heardNo(ada, "announcement");
      await heardNo(ben, "announcement");
      await heardNo(ben, "shout");
    });

    test("one connection can be in both namespaces at once", async (t) => {
      const room = newRoom();
      const inLobby = await connected(t, server().url, { auth: { name: "Ada" } });
      const inMembers = sibling(t, inLobby, NAMESPACE, { token: await server().token({ sub: "ada", name: "Ada" }) });
      await next(inMembers, "connect");
      for (const socket of [inLobby, inMembers]) await ask(socket, "join", room);

      await ask(inLobby, "message", { room, text: "in the lobby" });
      await ask(inMembers, "message", { room, text: "among members" });

      assert.equal(inLobby.io.engine, inMembers.io.engine);
      assert.notEqual(inLobby.id, inMembers.id);
      assert.equal((await next(inLobby, "message")).text, "in the lobby");
      assert.equal((await next(inMembers, "message")).text, "among members");
    });

    test("a room here is not the lobby's room of the same name", async (t) => {
      const room = newRoom("general");
      const [member, guest] = [await enter(t, "Ada"), await connected(t, server().url)];
      for (const socket of [member, guest]) await ask(socket, "join", room);

      await ask(guest, "message", { room, text: "public" });

      assert.equal((await next(guest, "message")).text, "public");
      await heardNo(member, "message");
      assert.deepEqual(await ask(member, "history", { room }), []);
      assert.equal((await ask(member, "join", room)).members.length, 1);
    });

    test("leaving one namespace leaves the other connected", async (t) => {
      const room = newRoom();
      const ben = await enter(t, "Ben");
      await ask(ben, "join", room);
      const inLobby = await connected(t, server().url);
      const inMembers = sibling(t, inLobby, NAMESPACE, { token: await server().token({ sub: "ada", name: "Ada" }) });
      await next(inMembers, "connect");
      await ask(inMembers, "join", room);

      inMembers.disconnect();

      assert.equal((await next(ben, "left")).member.name, "Ada");
      await ask(inLobby, "rooms");
      stayedConnected(inLobby);
    });

    test("being refused in /members does not disturb the lobby on the same connection", async (t) => {
      const inLobby = await connected(t, server().url);
      const inMembers = sibling(t, inLobby, NAMESPACE, { token: "forged" });

      assert.equal((await next(inMembers, "connect_error")).data.code, "invalid_token");

      await ask(inLobby, "rooms");
      stayedConnected(inLobby);
    });

    test("a namespace that does not exist is invalid", async (t) => {
      const inLobby = await connected(t, server().url);
      const nowhere = sibling(t, inLobby, "/no-such-namespace");

      assert.equal((await next(nowhere, "connect_error")).message, "Invalid namespace");

      await ask(inLobby, "rooms");
      stayedConnected(inLobby);
    });
  });
}

/** A token as anyone could make it up. */
function hs256(head, claims, secret) {
  const signed = `${encoded(head)}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function encoded(json) {
  return Buffer.from(JSON.stringify(json)).toString("base64url");
}
