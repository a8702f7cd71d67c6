// The app dies, is redeployed or is not there yet, while a relay holds the clients. Nobody notices.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, connected, newRoom, next, nextFew, stayedConnected, unread } from "./harness/clients.mjs";
import { startLossyProxy } from "./harness/lossy.mjs";
import { freePort, newStateDir, secrets, startApp, startRelay, token } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

/** A relay and an app that can be ended and started again at the same address. */
async function deploy(t, { appFirst = true } = {}) {
  const env = secrets();
  const stateDir = await newStateDir();
  const listen = `127.0.0.1:${await freePort()}`;
  const deployment = {
    env,
    stateDir,
    origin: `http://${listen}`,
    app: undefined,
    async startApp() {
      deployment.app = await startApp({ stateDir, listen, env });
    },
    async crashApp() {
      await deployment.app.kill9();
      await deployment.startApp();
    },
  };
  t.after(() => deployment.app?.kill9());
  if (appFirst) await deployment.startApp();
  const relay = await startRelay({ origin: deployment.origin, env, stateDir });
  t.after(() => relay.kill9());
  return Object.assign(deployment, { relay, url: relay.url });
}

test("kill -9 of the app under the relay, while messages flow: nothing acked is lost, nothing is repeated, nobody is disconnected", async (t) => {
  const COUNT = 300;
  const KILLS = 3;
  const room = newRoom();
  const { url, ...deployment } = await deploy(t);
  const people = [];
  for (const name of ["Ada", "Ben", "Cora", "Dan"]) people.push(await connected(t, url, { auth: { name } }));
  const [polling] = [await connected(t, url, { auth: { name: "Eve" }, transports: ["polling"] })];
  people.push(polling);
  const ids = people.map(({ id }) => id);
  for (const socket of people) await ask(socket, "join", room);

  // Two senders keep several messages under way, without ever repeating one.
  const acked = [];
  const say = async (socket, whose) => {
    let sent = 0;
    const one = async () => {
      while (sent < COUNT) {
        const text = `${whose} ${sent++}`;
        const answer = await socket.timeout(60_000).emitWithAck("message", { room, text });
        acked.push([answer.id, text]);
      }
    };
    await Promise.all([one(), one(), one(), one(), one()]);
  };
  const talking = Promise.all([say(people[0], "ada"), say(people[1], "ben")]);
  for (let kill = 1; kill <= KILLS; kill++) {
    const reached = (kill * 2 * COUNT) / (KILLS + 1);
    while (acked.length < reached) await next(people[2], "message");
    await deployment.crashApp();
  }
  await talking;

  const { messages } = await ask(people[2], "join", room);
  let kept = messages;
  while (kept.length < 2 * COUNT) {
    const older = await ask(people[2], "history", { room, limit: 100, before: kept[0].id });
    if (older.length === 0) break;
    kept = [...older, ...kept];
  }
  assert.equal(acked.length, 2 * COUNT);
  assert.ok(acked.every(([id]) => typeof id === "string"), "each message was acked with its id");
  assert.deepEqual(new Map(kept.map(({ id, text }) => [id, text])), new Map(kept.map(({ id }) => [id, Object.fromEntries(acked)[id]])));
  assert.equal(kept.length, 2 * COUNT, "each message is in the history once");
  const order = kept.map(({ id }) => id);
  for (const socket of [people[3], polling]) {
    const heard = await nextFew(socket, "message", 2 * COUNT);
    assert.deepEqual(heard.map(({ id }) => id), order, "everyone heard each message once, in the order of the history");
  }
  for (const whose of ["ada", "ben"]) {
    const texts = kept.map(({ text }) => text).filter((text) => text.startsWith(whose));
    assert.deepEqual(texts, Array.from({ length: COUNT }, (_, n) => `${whose} ${n}`), "each sender's order is kept");
  }
  await ask(people[3], "rooms");
  for (const socket of people) stayedConnected(socket);
  assert.deepEqual(people.map(({ id }) => id), ids);
  assert.deepEqual(unread(people[3], "message"), []);
  assert.deepEqual(unread(people[3], "left"), []);
});

test("when the app's answer is lost, the batch is sent again and nothing happens twice", async (t) => {
  const COUNT = 40;
  const room = newRoom();
  const { origin, env } = await deploy(t);
  const proxy = await startLossyProxy(t, origin, (batch) => batch % 2 === 0);
  const relay = await startRelay({ origin: proxy.url, env });
  t.after(() => relay.kill9());
  const [ada, ben] = [await connected(t, relay.url, { auth: { name: "Ada" } }), await connected(t, relay.url, { auth: { name: "Ben" } })];
  for (const socket of [ada, ben]) await ask(socket, "join", room);
  await next(ada, "joined");

  const acked = [];
  for (let n = 0; n < COUNT; n++) acked.push((await ask(ada, "message", { room, text: `${n}` })).id);

  const heard = await nextFew(ben, "message", COUNT);
  assert.deepEqual(heard.map(({ id }) => id), acked);
  assert.deepEqual(heard.map(({ text }) => text), Array.from({ length: COUNT }, (_, n) => `${n}`));
  const { messages, members } = await ask(ben, "join", room);
  assert.deepEqual(messages.map(({ offset, ...message }) => message), heard.slice(-50));
  assert.deepEqual(members.map(({ name }) => name), ["Ada", "Ben"]);
  assert.deepEqual(unread(ben, "message"), []);
  assert.deepEqual(unread(ada, "joined"), []);
  assert.ok(proxy.lost >= COUNT, `${proxy.lost} answers were lost`);
  stayedConnected(ada);
  stayedConnected(ben);
});

test("a redeployed app goes on with the same members, in the same rooms", async (t) => {
  const room = newRoom();
  const { url, app, startApp, env, stateDir } = await deploy(t);
  const ada = await connected(t, url, { auth: { name: "Ada" } });
  const ben = await connected(t, url, { namespace: "/members", auth: { token: await token(stateDir, { sub: "ben", name: "Ben", env }) } });
  for (const socket of [ada, ben]) await ask(socket, "join", room);

  await app.stop();
  const [early, late] = [ask(ada, "message", { room, text: "is anyone there?" }), ask(ben, "shout", "hello?")];
  await startApp();

  assert.equal(typeof (await early).id, "string");
  assert.equal(typeof (await late).at, "number");
  assert.equal((await next(ada, "message")).text, "is anyone there?");
  assert.deepEqual((await ask(ada, "join", room)).members.map(({ name }) => name), ["Ada"]);
  assert.equal((await ask(ben, "join", room)).members[0].id, "ben");
  stayedConnected(ada);
  stayedConnected(ben);
});

test("who disconnects while the app is away has left when it is back", async (t) => {
  const room = newRoom();
  const { url, app, startApp } = await deploy(t);
  const [ada, ben] = [await connected(t, url, { auth: { name: "Ada" } }), await connected(t, url, { auth: { name: "Ben" } })];
  for (const socket of [ada, ben]) await ask(socket, "join", room);

  await app.kill9();
  ben.disconnect();
  await startApp();

  assert.equal((await next(ada, "left")).member.name, "Ben");
  assert.deepEqual((await ask(ada, "join", room)).members.map(({ name }) => name), ["Ada"]);
});

test("clients that come before the app does get in when it is there", async (t) => {
  const deployment = await deploy(t, { appFirst: false });
  const ada = client(t, deployment.url, { auth: { name: "Ada" } });

  await deployment.startApp();

  await next(ada, "connect");
  await ask(ada, "rooms");
});

test("a relay that comes back has none of its old members, and its clients return", async (t) => {
  const room = newRoom();
  const { origin, env, stateDir } = await deploy(t);
  const listen = `127.0.0.1:${await freePort()}`;
  const first = await startRelay({ origin, env, stateDir, listen });
  t.after(() => first.kill9());
  const ada = await connected(t, first.url, { auth: { name: "Ada" } });
  const gone = await connected(t, first.url, { auth: { name: "Gone" }, reconnection: false });
  for (const socket of [ada, gone]) await ask(socket, "join", room);

  await first.kill9();
  await next(ada, "disconnect");
  const second = await startRelay({ origin, env, stateDir, listen });
  t.after(() => second.kill9());

  await next(ada, "connect");
  assert.deepEqual((await ask(ada, "join", room)).members.map(({ name }) => name), ["Ada"]);
});

test("two apps that start together on a new database share it", async (t) => {
  const room = newRoom();
  const env = secrets();
  const stateDir = await newStateDir();
  const apps = await Promise.all([startApp({ stateDir, env }), startApp({ stateDir, env })]);
  t.after(() => Promise.all(apps.map((app) => app.kill9())));
  const relays = await Promise.all(apps.map(({ url: origin }) => startRelay({ origin, env })));
  t.after(() => Promise.all(relays.map((relay) => relay.kill9())));
  const enter = async (name, { url }) => {
    const socket = await connected(t, url, { auth: { name } });
    await ask(socket, "join", room);
    return socket;
  };

  const [ada, ben] = await Promise.all([enter("Ada", relays[0]), enter("Ben", relays[1])]);
  const said = await Promise.all(
    [ada, ben].flatMap((socket, whose) => Array.from({ length: 20 }, (_, n) => ask(socket, "message", { room, text: `${whose} ${n}` }))),
  );

  const { messages, members } = await ask(ada, "join", room);
  assert.deepEqual(messages.map(({ id }) => id).sort(), said.map(({ id }) => id).sort());
  assert.deepEqual(members.map(({ name }) => name), ["Ada", "Ben"]);
});

test("a relay with the wrong secret lets nobody in, says so, and hurts no other", async (t) => {
  const { url, origin, env } = await deploy(t);
  const impostor = await startRelay({ origin, env: { ...env, SPIN_VARIABLE_RELAY_SECRET: "guessed" } });
  t.after(() => impostor.kill9());
  const eve = client(t, impostor.url, { reconnection: false, timeout: 2000 });

  await next(eve, "connect_error");

  assert.deepEqual(unread(eve, "connect"), []);
  assert.match(impostor.logs, /401|secret/);
  assert.ok(!impostor.logs.includes("guessed"));
  const ada = await connected(t, url);
  await ask(ada, "rooms");
});

test("the namespaces' private routes cannot be reached from outside", async (t) => {
  const { url, origin } = await deploy(t);
  const event = { method: "POST", body: '{"events":[]}', headers: { "content-type": "application/json" } };
  for (const host of ["lobby.spin.internal", "members.spin.internal"]) {
    for (const [base, path] of [[origin, "/events"], [url, "/events"], [origin, "/connect"]]) {
      // Spin cuts such a connection, Parlour's host answers it.
      const cut = (error) => void assert.equal(error.code, "ECONNRESET", `${error}`);
      const answer = await http(base, path, { ...event, headers: { ...event.headers, host } }).catch(cut);
      if (!answer) continue;
      assert.ok(answer.status >= 400, `${host}${path}: ${answer.status} ${answer.body}`);
      assert.ok(!answer.body.includes("commands"), answer.body);
    }
  }
});
