// What a chat namespace promises about rooms, messages and history, event by event.
// The same sentences hold in the lobby and in /members, in one process and in two.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, connected, heardNo, newRoom, next, nextFew, stayedConnected, unread } from "../harness/clients.mjs";

/**
 * @param {() => import("../harness/parlour.mjs").Server} server
 * @param {"/" | "/members"} namespace
 */
export function rooms(server, namespace) {
  /** Messages that were stored, as they were when they were sent; and that each has its place. */
  const asSent = (stored) =>
    stored.map(({ offset, ...message }) => (assert.ok(Number.isSafeInteger(offset) && offset > 0, `offset ${offset}`), message));
  /** A client of that name. In the lobby anyone may give a name; in /members the token says it. */
  const enter = async (t, name, options = {}) => {
    const auth = namespace === "/" ? { name } : { token: await server().token({ sub: name.toLowerCase(), name }) };
    return connected(t, server().url, { namespace, auth, ...options });
  };
  const enterRoom = async (t, room, ...names) => {
    const sockets = [];
    for (const name of names) sockets.push(await enter(t, name));
    for (const socket of sockets) assert.equal((await ask(socket, "join", room)).room, room);
    return sockets;
  };
  const refuses = async (socket, code, event, ...args) => {
    const answer = await ask(socket, event, ...args);
    assert.equal(answer.error?.code, code, `${event} ${JSON.stringify(args).slice(0, 200)}: ${JSON.stringify(answer)}`);
    assert.equal(typeof answer.error.message, "string");
    assert.ok(answer.error.message.length > 0, "an error says what is wrong");
  };

  describe(`rooms in ${namespace}`, () => {
    test("two clients in a room both receive a message, the sender included", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const before = Date.now();

      const { id, at } = await ask(ada, "message", { room, text: "good morning" });

      const message = await next(ben, "message");
      assert.deepEqual(message, { id, room, from: message.from, text: "good morning", at });
      assert.equal(message.from.name, "Ada");
      assert.equal(typeof message.from.id, "string");
      assert.deepEqual(await next(ada, "message"), message);
      assert.ok(Math.abs(at - before) < 60_000, `at is milliseconds since 1970: ${at}`);
    });

    test("a client that is not in the room receives nothing of it", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      const [eve] = await enterRoom(t, newRoom("elsewhere"), "Eve");

      await ask(ada, "message", { room, text: "between us" });
      await ask(ada, "typing", { room, typing: true });

      await next(ada, "message");
      await heardNo(eve, "message");
      await heardNo(eve, "typing");
      await heardNo(eve, "joined");
    });

    test("messages of one sender arrive in the order sent, without waiting for acks", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const texts = Array.from({ length: 200 }, (_, n) => `message ${n}`);

      for (const text of texts) ada.emit("message", { room, text });

      const received = await nextFew(ben, "message", texts.length);
      assert.deepEqual(received.map(({ text }) => text), texts);
      await heardNo(ben, "message");
    });

    test("any text survives the way: quotes, newlines, other scripts, emoji, NUL", async (t) => {
      const room = newRoom('ünï "quoted" 房间 🏠');
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      for (const text of ['"\\\n\t</script>', "日本語 עברית 🎉\u{1F468}\u200d\u{1F469}", "a\u0000b\u2028c", "'; DROP TABLE messages; --"]) {
        const { id } = await ask(ada, "message", { room, text });
        assert.equal((await next(ben, "message")).text, text);
        assert.deepEqual((await ask(ben, "history", { room })).find((message) => message.id === id).text, text);
      }
    });

    test("a message keeps the id its sender gave it", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const id = `mine-${room}`;

      assert.equal((await ask(ada, "message", { room, text: "once", id })).id, id);
      assert.equal((await next(ben, "message")).id, id);
    });

    test("a repeated id from the same sender stores and sends nothing twice and gets the first ack again", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const message = { room, text: "exactly once", id: `once-${room}` };

      const first = await ask(ada, "message", message);
      const again = await Promise.all([ask(ada, "message", message), ask(ada, "message", message)]);

      assert.deepEqual(again, [first, first]);
      assert.equal((await next(ben, "message")).id, message.id);
      await heardNo(ben, "message");
      assert.equal((await ask(ben, "history", { room })).length, 1);
    });

    test("another sender may use the same id for a message of their own", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const id = `same-${room}`;

      await ask(ada, "message", { room, text: "from Ada", id });
      const answer = await ask(ben, "message", { room, text: "from Ben", id });

      assert.equal(answer.error, undefined);
      assert.deepEqual((await nextFew(ben, "message", 2)).map(({ text }) => text), ["from Ada", "from Ben"]);
    });

    test("join answers with the room's members, its messages and an offset", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      const { id } = await ask(ada, "message", { room, text: "you are early" });
      const ben = await enter(t, "Ben");

      const joined = await ask(ben, "join", room);

      assert.equal(joined.room, room);
      assert.deepEqual(joined.members.map(({ name }) => name).sort(), ["Ada", "Ben"]);
      assert.deepEqual(asSent(joined.messages), [await next(ada, "message")]);
      assert.equal(joined.messages[0].id, id);
      assert.ok(joined.offset !== undefined && joined.offset !== null, "an offset says up to where");
    });

    test("join gives the last fifty messages, newest last", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      for (let n = 0; n < 60; n++) ada.emit("message", { room, text: `${n}` });
      await nextFew(ada, "message", 60);

      const { messages } = await ask(ada, "join", room);

      assert.deepEqual(messages.map(({ text }) => text), Array.from({ length: 50 }, (_, n) => `${n + 10}`));
    });

    test("joining tells the others in the room, and not the one who joined", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      const ben = await enter(t, "Ben");

      const { members } = await ask(ben, "join", room);

      const joined = await next(ada, "joined");
      assert.equal(joined.room, room);
      assert.deepEqual(joined.member, members.find(({ name }) => name === "Ben"));
      await heardNo(ben, "joined");
    });

    test("a room's members are given in pages, each member once, with their number", async (t) => {
      const room = newRoom();
      const names = ["Ada", "Ben", "Cora", "Dan", "Eve"];
      const [ada] = await enterRoom(t, room, ...names);
      const { count, next: none } = await ask(ada, "join", room);
      assert.deepEqual([count, none], [5, undefined]);

      const pages = [];
      for (let after; pages.length === 0 || after !== undefined; after = pages.at(-1).next) {
        pages.push(await ask(ada, "members", { room, after, limit: 2 }));
      }

      assert.deepEqual(pages.map(({ members, count }) => [members.length, count]), [[2, 5], [2, 5], [1, 5]]);
      assert.deepEqual(pages.flatMap(({ members }) => members.map(({ name }) => name)).sort(), names);
      const eve = await enter(t, "Mallory");
      await refuses(eve, "not_joined", "members", { room });
      for (const wrong of [undefined, 7, {}, { room, limit: 0 }, { room, limit: 101 }, { room, after: 7 }]) {
        await refuses(ada, "bad_request", "members", wrong);
      }
    });

    test("joining a room twice is joining it once", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");

      const { members } = await ask(ben, "join", room);
      await ask(ada, "message", { room, text: "one each" });

      assert.deepEqual(members.map(({ name }) => name).sort(), ["Ada", "Ben"]);
      await next(ben, "message");
      await heardNo(ben, "message");
    });

    test("a member with two sockets is one member: it comes with the first and goes with the last", async (t) => {
      const room = newRoom();
      const [ben] = await enterRoom(t, room, "Ben");
      const key = `the-key-of-ada-in-${room}`;
      const tab = () => (namespace === "/" ? enter(t, "Ada", { auth: { name: "Ada", key } }) : enter(t, "Ada"));
      const [first, second] = [await tab(), await tab()];
      await ask(first, "join", room);
      const { members } = await ask(second, "join", room);

      assert.deepEqual(members.map(({ name }) => name), ["Ada", "Ben"]);
      assert.equal((await next(ben, "joined")).member.name, "Ada");
      await heardNo(ben, "joined");
      await ask(first, "leave", room);
      await heardNo(ben, "left");
      second.disconnect();
      assert.equal((await next(ben, "left")).member.name, "Ada");
    });

    test("who leaves a room receives nothing more of it, and the others are told", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");

      assert.deepEqual(await ask(ben, "leave", room), { room });
      await ask(ada, "message", { room, text: "he is gone" });

      const left = await next(ada, "left");
      assert.equal(left.room, room);
      assert.equal(left.member.name, "Ben");
      await heardNo(ben, "message");
      await refuses(ben, "not_joined", "message", { room, text: "may I?" });
      const { members } = await ask(ada, "join", room);
      assert.deepEqual(members.map(({ name }) => name), ["Ada"]);
    });

    test("the others see a member disconnect, in every room it was in", async (t) => {
      const [one, two] = [newRoom("one"), newRoom("two")];
      const [ada] = await enterRoom(t, one, "Ada");
      const [ben] = await enterRoom(t, two, "Ben");
      const [cora] = await enterRoom(t, one, "Cora");
      await ask(cora, "join", two);

      cora.disconnect();

      assert.equal((await next(ada, "left")).member.name, "Cora");
      const left = await next(ben, "left");
      assert.equal(left.room, two);
      assert.equal(left.member.name, "Cora");
      assert.deepEqual((await ask(ada, "join", one)).members.map(({ name }) => name), ["Ada"]);
    });

    test("the others see a member whose connection breaks", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      ben.io.reconnection(false);

      ben.io.engine.transport.ws.terminate?.() ?? ben.io.engine.close();

      assert.equal((await next(ada, "left")).member.name, "Ben");
    });

    test("typing reaches everyone in the room but the sender, and is not stored", async (t) => {
      const room = newRoom();
      const [ada, ben, cora] = await enterRoom(t, room, "Ada", "Ben", "Cora");

      await ask(ada, "typing", { room, typing: true });

      for (const other of [ben, cora]) {
        const { member, ...rest } = await next(other, "typing");
        assert.deepEqual(rest, { room, typing: true });
        assert.equal(member.name, "Ada");
        assert.equal(typeof member.id, "string");
      }
      await heardNo(ada, "typing");
      assert.deepEqual(await ask(ben, "history", { room }), []);
    });

    test("history gives the newest messages, newest last, and goes back page by page", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      for (let n = 0; n < 25; n++) ada.emit("message", { room, text: `${n}` });
      const sent = await nextFew(ada, "message", 25);

      // By the place of a message, or by its id, as long as nobody else has used that.
      for (const by of ["offset", "id"]) {
        const newest = await ask(ada, "history", { room, limit: 10 });
        const older = await ask(ada, "history", { room, limit: 10, before: newest[0][by] });
        const oldest = await ask(ada, "history", { room, limit: 10, before: older[0][by] });
        const nothing = await ask(ada, "history", { room, limit: 10, before: oldest[0][by] });

        assert.deepEqual(asSent([...oldest, ...older, ...newest]), sent);
        assert.deepEqual([newest.length, older.length, oldest.length, nothing.length], [10, 10, 5, 0]);
      }
    });

    test("who sends an id that exists makes no page skip anything, and before that id is ambiguous", async (t) => {
      const room = newRoom();
      const [ada, eve] = await enterRoom(t, room, "Ada", "Eve");
      const id = `taken-${room}`;
      for (const text of ["0", "1"]) await ask(ada, "message", { room, text });
      await ask(ada, "message", { room, text: "2", id });
      for (const text of ["3", "4"]) await ask(ada, "message", { room, text });
      await ask(eve, "message", { room, text: "5", id });
      await ask(ada, "message", { room, text: "6" });

      const all = await ask(ada, "history", { room });
      const texts = (page) => page.map(({ text }) => text).join("");
      assert.equal(texts(all), "0123456");
      for (const { text, offset } of all) {
        assert.equal(texts(await ask(ada, "history", { room, before: offset })), "0123456".slice(0, Number(text)));
      }
      await refuses(ada, "ambiguous", "history", { room, before: id });
    });

    test("an id that was used in another room is another message: stored, heard, and sent once", async (t) => {
      const [room, other] = [newRoom(), newRoom()];
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      for (const socket of [ada, ben]) await ask(socket, "join", other);
      const id = `again-${room}`;

      await ask(ada, "message", { room, text: "here", id });
      await ask(ada, "message", { room: other, text: "there", id });
      await ask(ada, "message", { room: other, text: "there again", id });

      assert.deepEqual((await nextFew(ben, "message", 2)).map(({ room, text }) => [room, text]), [[room, "here"], [other, "there"]]);
      await heardNo(ben, "message");
      assert.deepEqual((await ask(ben, "history", { room: other })).map(({ text }) => text), ["there"]);
    });

    test("history before a message that is not in the room is not found", async (t) => {
      const [room, other] = [newRoom(), newRoom()];
      const [ada] = await enterRoom(t, room, "Ada");
      await ask(ada, "join", other);
      const { id } = await ask(ada, "message", { room: other, text: "elsewhere" });

      await refuses(ada, "not_found", "history", { room, before: "no such message" });
      await refuses(ada, "not_found", "history", { room, before: id });
    });

    test("rooms lists rooms with their members and messages counted", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada", "Ben");
      await ask(ada, "message", { room, text: "counted" });

      const found = (await ask(ada, "rooms")).find(({ name }) => name === room);

      assert.deepEqual(found, { name: room, members: 2, messages: 1 });
    });

    test("a room with messages is still listed when everyone has left", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      await ask(ada, "message", { room, text: "the last one out" });
      await ask(ada, "leave", room);

      const found = (await ask(ada, "rooms")).find(({ name }) => name === room);

      assert.deepEqual(found, { name: room, members: 0, messages: 1 });
    });

    test("an acknowledgement is optional for every event", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const other = newRoom("quiet");

      ben.emit("join", other);
      ben.emit("leave", other);
      ben.emit("typing", { room, typing: false });
      ben.emit("history", { room });
      ben.emit("rooms");
      ben.emit("message", { room, text: "no ack, please" });
      ben.emit("leave", room);

      assert.equal((await next(ada, "typing")).typing, false);
      assert.equal((await next(ada, "message")).text, "no ack, please");
      assert.equal((await next(ada, "left")).member.name, "Ben");
      stayedConnected(ben);
    });

    test("message, typing, history and leave for a room one has not joined are refused and stored nowhere", async (t) => {
      const room = newRoom();
      const [ada] = await enterRoom(t, room, "Ada");
      const eve = await enter(t, "Eve");

      await refuses(eve, "not_joined", "message", { room, text: "let me in" });
      await refuses(eve, "not_joined", "typing", { room, typing: true });
      await refuses(eve, "not_joined", "history", { room });
      await refuses(eve, "not_joined", "leave", room);

      await heardNo(ada, "message");
      await heardNo(ada, "typing");
      assert.deepEqual(await ask(ada, "history", { room }), []);
      stayedConnected(eve);
    });

    test("a wrong argument is refused, stored nowhere and disconnects nobody", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const listed = (await ask(ada, "rooms")).length;

      for (const wrong of [undefined, null, 7, true, "", "r".repeat(100_000), {}, ["a"], { room }]) {
        await refuses(ada, "bad_request", "join", wrong);
        await refuses(ada, "bad_request", "leave", wrong);
      }
      for (const wrong of [undefined, null, 7, "text", [], {}, { room }, { text: "where?" }, { room, text: 7 },
        { room, text: "" }, { room: 7, text: "x" }, { room, text: "x", id: 7 }, { room, text: "x", id: "" }]) {
        await refuses(ada, "bad_request", "message", wrong);
      }
      for (const wrong of [undefined, null, "typing", {}, { room }, { room, typing: "yes" }, { typing: true }]) {
        await refuses(ada, "bad_request", "typing", wrong);
      }
      for (const wrong of [undefined, null, 7, "all", {}, { room: [] }, { room, limit: "ten" }, { room, limit: -1 }, { room, before: -1 }, { room, before: [] }]) {
        await refuses(ada, "bad_request", "history", wrong);
      }

      await heardNo(ben, "message");
      await heardNo(ben, "typing");
      assert.deepEqual(await ask(ada, "history", { room }), []);
      assert.equal((await ask(ada, "rooms")).length, listed);
      stayedConnected(ada);
      stayedConnected(ben);
    });

    test("a text beyond its limit is too large", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");

      await refuses(ada, "too_large", "message", { room, text: "x".repeat(900_000) });

      await heardNo(ben, "message");
      stayedConnected(ada);
    });

    test("an event nobody handles is ignored", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");

      ada.emit("no such event", { room }, () => assert.fail("nobody answers"));
      ada.emit("joined", { room, member: { id: "x", name: "Mallory" } });

      await heardNo(ada, "no such event");
      await heardNo(ben, "no such event");
      await heardNo(ben, "joined");
      stayedConnected(ada);
    });

    test("a client that comes back has a new socket and none of its old memberships", async (t) => {
      const room = newRoom();
      const [ada, ben] = await enterRoom(t, room, "Ada", "Ben");
      const former = ben.id;

      ben.disconnect();
      assert.equal(await next(ben, "disconnect"), "io client disconnect");
      await next(ada, "left");
      await next(ben.connect(), "connect").catch(() => next(ben, "connect"));

      assert.notEqual(ben.id, former);
      await refuses(ben, "not_joined", "message", { room, text: "still here?" });
      assert.deepEqual(unread(ada, "message"), []);
    });
  });
}
