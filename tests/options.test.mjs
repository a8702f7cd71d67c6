// Socket.IO's server options as flags of `parlour`, where engine.test.mjs does not have them: CORS as npm's server
// answers it, and the defaults.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newStateDir, run, startUp } from "./harness/parlour.mjs";
import { UPGRADE, http } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const FRIENDS = ["https://friend.example", "http://localhost:8080"];

/** What a server answers to a page of that origin: to its handshake, its preflight, its WebSocket. */
async function answers(url, origin) {
  const own = origin ? { origin } : {};
  const asks = { ...own, "access-control-request-method": "POST", "access-control-request-headers": "x-one, x-two" };
  const all = [
    await http(url, HANDSHAKE, { headers: own }),
    await http(url, HANDSHAKE, { method: "OPTIONS", headers: asks }),
    await http(url, HANDSHAKE.replace("polling", "websocket"), { headers: { ...own, ...UPGRADE } }),
  ];
  const isCors = ([name]) => name.startsWith("access-control-") || name === "vary";
  return all.map(({ status, headers }) => ({ status, ...Object.fromEntries(Object.entries(headers).filter(isCors).sort()) }));
}

/** @type {Record<string, [string[], object | undefined]>} */
const CORS = {
  "any origin": [["--cors-origin", "*"], { origin: "*" }],
  "some origins": [["--cors-origin", FRIENDS.join(", ")], { origin: FRIENDS }],
  "some origins with credentials": [["--cors-origin", FRIENDS.join(), "--cors-credentials"], { origin: FRIENDS, credentials: true }],
  "no other origin": [["--cors-origin", "none"], undefined],
};

describe("cors", () => {
  for (const [what, [args, cors]] of Object.entries(CORS)) {
    test(`${what}: every header is Socket.IO's`, async (t) => {
      const [ours, theirs] = [await startUp({ args }), await startReference({ cors })];
      t.after(() => Promise.all([ours.stop(), theirs.stop()]));
      for (const origin of [...FRIENDS, "https://stranger.example", undefined]) {
        assert.deepEqual(await answers(ours.url, origin), await answers(theirs.url, origin), origin);
      }
    });
  }

  test("credentials for any origin, which no browser accepts, are refused", async () => {
    const { code, stderr } = await run(["up", "--cors-credentials", "--state-dir", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--cors-credentials needs --cors-origin/);
  });
});

describe("transports and upgrades", () => {
  /** @type {Record<string, [string[], Partial<import("socket.io").ServerOptions>]>} */
  const OPTIONS = {
    "polling only": [["--transports", "polling"], { transports: ["polling"] }],
    "WebSocket only": [["--transports", "websocket"], { transports: ["websocket"] }],
    "no upgrades": [["--allow-upgrades", "false"], { allowUpgrades: false }],
    "both, with upgrades": [[], {}],
  };
  for (const [what, [args, options]] of Object.entries(OPTIONS)) {
    test(`${what}: handshakes are answered as Socket.IO answers them`, async (t) => {
      const [ours, theirs] = [await startUp({ args }), await startReference(options)];
      t.after(() => Promise.all([ours.stop(), theirs.stop()]));
      const handshake = async (url, transport) => {
        const headers = transport === "websocket" ? UPGRADE : {};
        const { status, body } = await http(url, HANDSHAKE.replace("polling", transport), { headers });
        return [status, body.replace(/"sid":"[^"]*"/, '"sid":…')];
      };
      for (const transport of ["polling", "websocket", "webtransport", "carrier"]) {
        assert.deepEqual(await handshake(ours.url, transport), await handshake(theirs.url, transport), transport);
      }
    });
  }

  test("a transport that there is not is an error", async () => {
    const { code, stderr } = await run(["up", "--transports", "polling,carrier", "--state-dir", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.match(stderr, /"carrier" is no transport/);
  });
});

test("the client's files are below the path", async (t) => {
  const [ours, theirs] = [await startUp({ args: ["--path", "/live"] }), await startReference({ path: "/live" })];
  t.after(() => Promise.all([ours.stop(), theirs.stop()]));
  for (const file of ["socket.io.js", "socket.io.min.js", "socket.io.min.js.map"]) {
    const [here, there] = [await http(ours.url, `/live/${file}`), await http(theirs.url, `/live/${file}`)];
    assert.deepEqual([here.status, here.body.length], [there.status, there.body.length], file);
  }
});

test("the options have Socket.IO's defaults", async () => {
  const { stdout } = await run(["up", "--help"]);
  const defaults = {
    "ping-interval": 25_000,
    "ping-timeout": 20_000,
    "max-payload": 1_000_000,
    "connect-timeout": 45_000,
    "upgrade-timeout": 10_000,
    path: "/socket.io",
  };
  for (const [flag, value] of Object.entries(defaults)) {
    const [, said] = new RegExp(`--${flag} <[^[]*\\[default: (.*?)\\]`, "s").exec(stdout) ?? [];
    assert.equal(said, `${value}`, flag);
  }
});
