// What is the lobby's alone: it is open to everyone, who may choose a name and prove who they are by a key.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, client, connected, newRoom, next, unread } from "../harness/clients.mjs";

/** @param {() => import("../harness/parlour.mjs").Server} server */
export function lobby(server) {
  const enter = (t, auth) => connected(t, server().url, { auth });

  describe("the lobby", () => {
    test("lets anyone in, with a name or without", async (t) => {
      const room = newRoom();
      const named = await enter(t, { name: "Grace" });
      const nameless = await enter(t, undefined);
      await ask(nameless, "join", room);

      const { members } = await ask(named, "join", room);

      assert.equal(members.length, 2);
      assert.ok(members.some(({ name }) => name === "Grace"));
      assert.ok(members.every(({ id, name }) => typeof id === "string" && typeof name === "string" && name !== ""));
      assert.notEqual(members[0].id, members[1].id);
    });

    test("a new name is used from then on", async (t) => {
      const room = newRoom();
      const [ada, ben] = [await enter(t, { name: "Ada" }), await enter(t, { name: "Ben" })];
      for (const socket of [ada, ben]) await ask(socket, "join", room);

      assert.deepEqual(await ask(ada, "name", "Countess"), { name: "Countess" });
      await ask(ada, "message", { room, text: "who am I?" });

      assert.equal((await next(ben, "message")).from.name, "Countess");
      assert.deepEqual((await ask(ben, "join", room)).members.map(({ name }) => name).sort(), ["Ben", "Countess"]);
    });

    test("a name that is none is refused and changes nothing", async (t) => {
      const room = newRoom();
      const ada = await enter(t, { name: "Ada" });
      await ask(ada, "join", room);

      for (const wrong of [undefined, null, 7, {}, "", "   ", "n".repeat(10_000)]) {
        assert.equal((await ask(ada, "name", wrong)).error?.code, "bad_request", JSON.stringify(wrong));
      }

      const { members } = await ask(ada, "join", room);
      assert.deepEqual(members.map(({ name }) => name), ["Ada"]);
    });

    test("a key makes a member the same one over reconnections, and is never shown", async (t) => {
      const room = newRoom();
      const key = `a-key-only-ada-knows-${room}`;
      const [ben, before] = [await enter(t, { name: "Ben" }), await enter(t, { name: "Ada", key })];
      for (const socket of [ben, before]) await ask(socket, "join", room);
      const message = { room, text: "sent before the line broke", id: `resent-${room}` };
      const first = await ask(before, "message", message);
      before.disconnect();
      await next(ben, "left");

      const after = await enter(t, { name: "Ada", key });
      await ask(after, "join", room);
      const again = await ask(after, "message", message);
      await ask(after, "message", { room, text: "and after" });

      assert.deepEqual(again, first, "the same sender repeats the same message");
      const [one, two] = [await next(ben, "message"), await next(ben, "message")];
      assert.deepEqual([one.text, two.text], ["sent before the line broke", "and after"]);
      assert.equal(one.from.id, two.from.id);
      assert.ok(!JSON.stringify([one, two, await ask(ben, "join", room)]).includes(key));
    });

    test("two members without keys are never the same one", async (t) => {
      const room = newRoom();
      const [one, two] = [await enter(t, { name: "Sam" }), await enter(t, { name: "Sam" })];
      for (const socket of [one, two]) await ask(socket, "join", room);
      const id = `id-${room}`;

      await ask(one, "message", { room, text: "one", id });
      await ask(two, "message", { room, text: "two", id });

      const [first, second] = [await next(one, "message"), await next(one, "message")];
      assert.deepEqual([first.text, second.text], ["one", "two"]);
      assert.notEqual(first.from.id, second.from.id);
    });

    test("a wrong name or key in the handshake is refused with a connect_error", async (t) => {
      for (const auth of [{ name: 7 }, { key: 7 }, { key: "too short" }, { key: "k".repeat(129) }]) {
        const socket = client(t, server().url, { auth });
        const error = await next(socket, "connect_error");
        assert.equal(error.data?.code, "bad_request", `${JSON.stringify(auth).slice(0, 80)}: ${error.message}`);
        assert.deepEqual(unread(socket, "connect"), []);
      }
    });
  });
}
