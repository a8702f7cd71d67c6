// A namespace acts on the sockets of another namespace of the same application, as an administrator's does: fetches
// them, emits to them, moves and disconnects them, wherever they are connected.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startBroker } from "./harness/broker.mjs";
import { ask, connected, newRoom, next, nextFew, stayedConnected, unread } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { deploy, manifest } from "./harness/relays.mjs";

const ADMIN = "/dynamic-77";

/** One process that is everything. */
async function alone(t) {
  const server = await startUp({ manifest });
  t.after(() => server.stop());
  return [server.url, server.url];
}

/** Two relays before one app. */
async function two(t, broker, args = []) {
  const { relay } = await deploy(t, broker);
  const options = { args, bus: broker.url };
  return [(await relay(options)).url, (await relay(options)).url];
}

const deployments = {
  "in one process": alone,
  "with two relays and a broker": async (t) => two(t, await startBroker(t)),
  "with two relays and no broker": async (t) => two(t, { url: null }, ["--relays-without-bus=100"]),
};

for (const [name, start] of Object.entries(deployments)) {
  describe(name, () => {
    /** An administrator at the first relay, and a room of two: one is at the first, one at the second. */
    async function hall(t) {
      const urls = await start(t);
      const admin = await connected(t, urls[0], { namespace: ADMIN });
      const members = [];
      const room = newRoom();
      for (const url of urls) {
        const member = await connected(t, url);
        await ask(member, "join", [room]);
        await ask(member, "set-data", { name: `member ${members.length}` });
        members.push(member);
      }
      return { admin, members, room, there: { of: "/", to: [room] } };
    }

    test("sockets are fetched with their data and rooms, emitted to, moved and disconnected", async (t) => {
      const { admin, members, room, there } = await hall(t);
      const found = await ask(admin, "fetch-elsewhere", there);
      const about = members.map(({ id }, n) => ({ id, data: { name: `member ${n}` }, rooms: [room] }));
      const byName = (a, b) => a.data.name.localeCompare(b.data.name);
      assert.deepEqual(found.sort(byName), about);
      const one = { of: "/", to: [members[1].id] };
      assert.deepEqual(await ask(admin, "fetch-elsewhere", one), [about[1]]);
      assert.deepEqual(await ask(admin, "fetch-elsewhere", { ...there, except: [members[1].id] }), [about[0]]);
      assert.deepEqual(await ask(admin, "fetch-elsewhere", { of: "/dynamic-78" }), []);

      const other = newRoom("other");
      await ask(admin, "remote-elsewhere", there, { join: [other] });
      await ask(admin, "all-elsewhere", { of: "/", to: [other] }, [{ emit: ["joined"] }]);
      for (const member of members) assert.equal(await next(member, "remote"), "joined");
      await ask(admin, "all-elsewhere", there, [{ leave: [room] }]);
      for (const member of members) {
        await ask(admin, "all-elsewhere", { of: "/", to: [member.id] }, [{ emit: ["its own"] }]);
        assert.equal(await next(member, "remote"), "its own");
        assert.deepEqual((await ask(member, "about")).rooms, [other]);
      }

      await ask(admin, "remote-elsewhere", one, { disconnect: false });
      assert.equal(await next(members[1], "disconnect"), "io server disconnect");
      await ask(admin, "all-elsewhere", { of: "/" }, [{ disconnect: true }]);
      assert.equal(await next(members[0], "disconnect"), "io server disconnect");
      stayedConnected(admin);
    });

    test("what one batch does there comes in its order, and in the order of what is said there", async (t) => {
      const { admin, members, room, there } = await hall(t);
      const other = newRoom("other");
      const rounds = 20;
      for (let n = 0; n < rounds; n++) {
        // Between joining and leaving, and only then, they hear what is said in the other room.
        ask(members[1], "emit", { whom: { to: [other] }, event: "remote", args: [`too early or too late ${n}`] }).catch(() => {});
        await ask(admin, "all-elsewhere", there, [{ join: [other] }]);
        await ask(admin, "all-elsewhere", { of: "/", to: [other] }, [
          { emit: [`in ${n}`] }, { leave: [other] }, { emit: [`out ${n}`] },
        ]);
      }
      await ask(admin, "all-elsewhere", { of: "/", to: [room] }, [{ emit: ["the end"] }]);
      const heard = [];
      for (const member of members) {
        const all = [];
        do all.push(...await nextFew(member, "remote", 1)); while (all.at(-1) !== "the end");
        heard.push(all);
      }
      // Both are in the same rooms at every place of the log, so they have heard the same.
      assert.deepEqual(heard[1], heard[0]);
      const told = heard[0].filter((text) => !text.startsWith("too"));
      assert.deepEqual(told, [...Array.from({ length: rounds }, (_, n) => `in ${n}`), "the end"]);
    });

    test("they are in their rooms and know it when they come back", async (t) => {
      const { admin, members, there } = await hall(t);
      const other = newRoom("other");
      members[1].io.engine.close();
      await next(members[1], "disconnect");
      await ask(admin, "all-elsewhere", { of: "/", to: [members[0].id] }, [{ join: [other] }]);
      await next(members[1], "connect");
      assert.equal(members[1].recovered, true);
      await ask(admin, "all-elsewhere", there, [{ emit: ["back"] }]);
      for (const member of members) assert.equal(await next(member, "remote"), "back");
      await ask(admin, "all-elsewhere", { of: "/", to: [other] }, [{ emit: ["for one"] }]);
      assert.equal(await next(members[0], "remote"), "for one");
      await ask(members[1], "about");
      assert.deepEqual(unread(members[1], "remote"), []);
    });
  });
}
