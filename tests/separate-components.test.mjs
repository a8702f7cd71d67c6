// `handshake` and `router`: each answers its own part of what a relay sends, refuses the other's, and nobody but a relay.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, connected } from "./harness/clients.mjs";
import { freePort, newStateDir, ROOT, secrets, startApp, startRelay } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

const [HANDSHAKE, ROUTER] = ["/relay/handshake", "/relay"];
const TICK = '{"events":[{"tick":{}}]}';
const EMPTY = '{"events":[]}';
const OPEN = JSON.stringify({
  events: [{ open: { connection: "c1", handshake: { url: "/", headers: [], address: "127.0.0.1", secure: false, time: 1 } } }],
});
const LOBBY = "%2F";
let sequence = 0;

/** Sends a batch as a relay would. */
function send(url, path, lane, body, authorization) {
  const headers = {
    "content-type": "application/json",
    "parlour-protocol": "1",
    "parlour-relay": "tester",
    "parlour-epoch": "1",
    "parlour-lane": lane,
    "parlour-sequence": `${++sequence}`,
    "parlour-attempt": "1",
    "parlour-connects": "0",
    ...(authorization && { authorization }),
  };
  return http(url, path, { method: "POST", headers, body });
}

describe("handshake and router", () => {
  const env = secrets();
  const bearer = `Bearer ${env.SPIN_VARIABLE_RELAY_SECRET}`;
  let app;
  let relay;
  before(async () => {
    app = await startApp({ env });
    relay = await startRelay({ origin: app.url, env });
  });
  after(() => Promise.all([relay?.kill9(), app?.kill9()]));

  test("each answers what is its own", async () => {
    const admitted = await send(app.url, HANDSHAKE, "handshake", OPEN, bearer);
    assert.deepEqual([admitted.status, JSON.parse(admitted.body)], [200, { commands: [{ admit: { connection: "c1" } }] }]);
    const committed = await send(app.url, ROUTER, LOBBY, EMPTY, bearer);
    assert.deepEqual([committed.status, JSON.parse(committed.body).done], [200, 0]);
    for (const path of [HANDSHAKE, ROUTER]) {
      const ready = await send(app.url, path, "probe", TICK, bearer);
      assert.deepEqual([ready.status, JSON.parse(ready.body)], [200, { commands: [] }], path);
    }
  });

  test("each refuses what is the other's, and says where it belongs", async () => {
    for (const [path, lane, body, said] of [
      [HANDSHAKE, LOBBY, EMPTY, 'a batch of the namespace "/" is sent to /relay'],
      [ROUTER, "handshake", OPEN, "a batch of handshakes is sent to /relay/handshake"],
    ]) {
      const answer = await send(app.url, path, lane, body, bearer);
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [400, { error: { code: "lane", message: said } }]);
    }
  });

  test("neither answers anybody without the secret", async () => {
    for (const [path, lane, body] of [[HANDSHAKE, "handshake", OPEN], [ROUTER, LOBBY, EMPTY], [HANDSHAKE, "probe", TICK], [ROUTER, "probe", TICK]]) {
      for (const authorization of [undefined, "Bearer ", "Bearer guessed", "Basic Og=="]) {
        const answer = await send(app.url, path, lane, body, authorization);
        assert.equal(answer.status, 401, answer.body);
        assert.equal(JSON.parse(answer.body).error.code, "secret");
      }
    }
  });

  test("neither takes anything but a POST", async () => {
    for (const path of [HANDSHAKE, ROUTER]) {
      const answer = await http(app.url, path);
      assert.deepEqual([answer.status, answer.headers.allow], [405, "POST"], path);
    }
  });

  test("no client reaches them through the relay, even with the secret", async (t) => {
    for (const path of [ROUTER, HANDSHAKE, "/relay/", "//relay", "/%72elay", "/relay/handshake/", "/relay//handshake", "/relay/%68andshake", "/relay%2Fhandshake"]) {
      for (const lane of [LOBBY, "handshake", "probe"]) {
        const answer = await send(relay.url, path, lane, TICK, bearer);
        assert.equal(answer.status, 404, `${path}: ${answer.status} ${answer.body}`);
      }
    }
    await ask(await connected(t, relay.url), "rooms");
  });
});

/** The chat's manifest with another text in it. */
async function changed(before, after) {
  const text = (await readFile(join(ROOT, "spin.toml"), "utf8")).replace(/"(target|components)\//g, `"${ROOT}/$1/`);
  assert.ok(text.includes(before), before);
  const file = join(await newStateDir(), "spin.toml");
  await writeFile(file, text.replace(before, after));
  return file;
}

describe("a server is not ready", () => {
  for (const [what, before, after, said] of [
    ["handshake does not know the secret", 'relay_secret = "{{ relay_secret }}"\nallowed', "allowed", /500.* at \/relay\/handshake: .*relay_secret/],
    ["router does not know its namespaces", /** @type {string} */ ("namespaces = '''{"), "nobody = '''{", /500.* at \/relay: .*namespaces/],
  ]) {
    test(`while ${what}`, async (t) => {
      const control = `127.0.0.1:${await freePort()}`;
      const manifest = await changed(before, after);
      const env = secrets();
      const app = await startApp({ manifest, env });
      t.after(() => app.kill9());
      const relay = await startRelay({ origin: app.url, env, control });
      t.after(() => relay.kill9());
      const answer = await http(`http://${control}`, "/readyz");
      assert.equal(answer.status, 503, answer.body);
      assert.match(answer.body, said);
    });
  }
});
