// Behind Debian's nginx and HAProxy: clients connect through them by both transports, and the relay knows
// who they are if it trusts the proxy, and only then.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ask, connected, stayedConnected } from "./harness/clients.mjs";
import { ROOT, startUp } from "./harness/parlour.mjs";
import { startHaproxy, startNginx } from "./harness/proxies.mjs";
import { UPGRADE, http, rawHttp } from "./harness/raw.mjs";

const manifest = join(ROOT, "tests/conformance/client-suite/spin.toml");
const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

/** Two relays: one trusts proxies on this machine, one trusts nobody. */
let trusting, wary;
before(async () => {
  [trusting, wary] = await Promise.all([
    startUp({ manifest, args: ["--trust-proxy", "127.0.0.1,10.0.0.0/8", "--max-connections-per-address", "5"] }),
    startUp({ manifest }),
  ]);
});
after(() => Promise.all([trusting.stop(), wary.stop()]));

/** What the app was told of the client that opened this connection. */
async function handshake(t, url, options) {
  const socket = await connected(t, url, { rejectUnauthorized: false, ...options });
  return ask(socket, "getHandshake");
}

for (const [name, start] of Object.entries({ nginx: startNginx, haproxy: startHaproxy })) {
  describe(name, () => {
    test("clients come through, and are who the proxy says", async (t) => {
      const proxy = await start(t, trusting.url);
      for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
        const plain = await handshake(t, proxy.http, { transports });
        assert.deepEqual([plain.address, plain.secure], ["127.0.0.1", false]);
        // The proxy adds whom it has the request from. That is a trusted address, so the one before counts.
        const extraHeaders = { "x-forwarded-for": "192.0.2.1" };
        const tls = await handshake(t, proxy.https, { transports, extraHeaders });
        assert.deepEqual([tls.address, tls.secure], ["192.0.2.1", true]);
      }
    });

    test("a relay that was not told to trust it believes nothing of what it says", async (t) => {
      const proxy = await start(t, wary.url);
      const extraHeaders = { "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https" };
      const seen = await handshake(t, proxy.https, { extraHeaders });
      assert.deepEqual([seen.address, seen.secure], ["127.0.0.1", false]);
    });

    test("limits by address are those of clients, not of the proxy", async (t) => {
      const proxy = await start(t, trusting.url);
      const open = (address) => http(proxy.http, HANDSHAKE, { headers: { "x-forwarded-for": address } });
      for (const host of [1, 2, 3, 4]) assert.equal((await open(`198.51.100.${host}`)).status, 200);
      const one = name === "nginx" ? "203.0.113.1" : "203.0.113.2";
      for (let count = 0; count < 5; count += 1) assert.equal((await open(one)).status, 200);
      const refused = await open(one);
      assert.equal(refused.status, 429);
      assert.match(refused.body, /Too many connections from this address/);
      assert.equal(refused.headers["retry-after"], "5");
      assert.equal((await open("198.51.100.99")).status, 200);
    });
  });
}

describe("nginx that speaks HTTP/1.0 to the relay", () => {
  const transportOf = (socket) => socket.io.engine.transport.name;

  test("and passes upgrades on: WebSocket works, at once and after polling", async (t) => {
    const proxy = await startNginx(t, trusting.url, "upgrading by HTTP/1.0");
    for (const url of [proxy.http, proxy.https]) {
      for (const transports of [["websocket"], ["polling", "websocket"]]) {
        const socket = await connected(t, url, { transports, rejectUnauthorized: false });
        if (transportOf(socket) === "polling") await new Promise((upgraded) => socket.io.engine.once("upgrade", upgraded));
        assert.equal(transportOf(socket), "websocket");
        const text = "é".repeat(50_000);
        assert.equal(await socket.emitWithAck("echo", text), text);
        stayedConnected(socket);
      }
    }
  });

  test("and passes no upgrade on: polling works, and WebSocket is refused in words", async (t) => {
    const proxy = await startNginx(t, trusting.url, "by default");
    for (const transports of [["polling"], ["polling", "websocket"]]) {
      const socket = await connected(t, proxy.http, { transports });
      assert.equal(await socket.emitWithAck("echo", "x".repeat(10_000)).then((text) => text.length), 10_000);
      assert.equal(transportOf(socket), "polling");
      stayedConnected(socket);
    }
    const refused = await http(proxy.http, "/socket.io/?EIO=4&transport=websocket", { headers: UPGRADE });
    assert.deepEqual([refused.status, JSON.parse(refused.body)], [400, { code: 3, message: "Bad request" }]);
  });
});

test("of a network of IPv6, all addresses count as one", async () => {
  const open = (address) => http(trusting.url, HANDSHAKE, { headers: { "x-forwarded-for": address } });
  for (const host of [1, 2, 3, 4, 5]) assert.equal((await open(`2001:db8:0:1::${host}`)).status, 200);
  assert.equal((await open("2001:db8:0:1:ffff::1")).status, 429);
  assert.equal((await open("2001:db8:0:2::1")).status, 200);
});

test("a byte that is no ASCII does not hide the address behind it", async () => {
  const { status, headers } = await rawHttp(trusting.url, [`GET ${HANDSHAKE} HTTP/1.1`, "Host: x", "X-Forwarded-For: J\xe9r\xf4me, 192.0.2.77"]);
  assert.equal(status, 200, headers);
  // That was one of its five.
  for (let count = 0; count < 4; count += 1) assert.equal((await http(trusting.url, HANDSHAKE, { headers: { "x-forwarded-for": "192.0.2.77" } })).status, 200);
  assert.equal((await http(trusting.url, HANDSHAKE, { headers: { "x-forwarded-for": "192.0.2.77" } })).status, 429);
});

test("a client that lies about itself is not believed where no proxy is trusted", async (t) => {
  const seen = await handshake(t, wary.url, { extraHeaders: { "x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https" } });
  assert.deepEqual([seen.address, seen.secure], ["127.0.0.1", false]);
});
