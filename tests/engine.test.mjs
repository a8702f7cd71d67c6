// Engine.IO v4 as npm's server does it: handshake, error bodies, heartbeat, limits, timeouts, CORS.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask, client, connected, newRoom, next, stayedConnected, unread } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { RawSocket, UPGRADE, enterRaw, http, openPolling, openRaw } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

const MAX_PAYLOAD = 1_000_000;
/** Short, but not so short that a busy machine misses a beat: milliseconds. */
const TIMES = { pingInterval: 300, pingTimeout: 1500, connectTimeout: 1000, upgradeTimeout: 600 };
const FLAGS = [
  ...["--ping-interval", `${TIMES.pingInterval}`, "--ping-timeout", `${TIMES.pingTimeout}`],
  ...["--connect-timeout", `${TIMES.connectTimeout}`, "--upgrade-timeout", `${TIMES.upgradeTimeout}`],
];

/** With Socket.IO's defaults, and with short times. */
let parlour, reference, hasty, hastyReference;
before(async () => {
  parlour = await startUp();
  hasty = await startUp({ args: FLAGS });
  reference = await startReference();
  hastyReference = await startReference(TIMES);
});
after(() => Promise.all([parlour, hasty, reference, hastyReference].map((server) => server.stop())));

describe("the handshake", () => {
  const withoutSid = ({ sid, ...rest }) => (assert.equal(typeof sid, "string"), rest);

  test("over WebSocket says what Socket.IO says, with Socket.IO's defaults", async (t) => {
    const { open } = await openRaw(t, parlour.url);
    assert.deepEqual(withoutSid(open), withoutSid((await openRaw(t, reference.url)).open));
    assert.deepEqual(withoutSid(open), { upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: MAX_PAYLOAD });
  });

  test("over long-polling offers WebSocket", async () => {
    const { open } = await openPolling(parlour.url);
    assert.deepEqual(withoutSid(open), withoutSid((await openPolling(reference.url)).open));
    assert.deepEqual(open.upgrades, ["websocket"]);
  });

  test("says the times it was started with", async (t) => {
    const { open } = await openRaw(t, hasty.url);
    assert.deepEqual([open.pingInterval, open.pingTimeout], [TIMES.pingInterval, TIMES.pingTimeout]);
  });

  test("no two connections have the same id", async (t) => {
    const ids = (await Promise.all(Array.from({ length: 20 }, () => openRaw(t, parlour.url)))).map(({ open }) => open.sid);
    assert.equal(new Set(ids).size, ids.length);
  });
});

describe("errors have Engine.IO's status and body", () => {
  const at = (query) => `/socket.io/?${query}`;
  /** @type {Record<string, [string, Parameters<typeof http>[2]?]>} */
  const requests = {
    "no transport": [at("EIO=4")],
    "an unknown transport": [at("EIO=4&transport=pigeon")],
    "a transport with a JavaScript property's name": [at("EIO=4&transport=constructor")],
    "an unknown session": [at("EIO=4&transport=polling&sid=nobody")],
    "an unknown session, posting": [at("EIO=4&transport=polling&sid=nobody"), { method: "POST", body: "40" }],
    "a handshake that posts": [at("EIO=4&transport=polling"), { method: "POST", body: "40" }],
    "a handshake that deletes": [at("EIO=4&transport=polling"), { method: "DELETE" }],
    "no protocol version": [at("transport=polling")],
    "protocol version 3": [at("EIO=3&transport=polling")],
    "protocol version abc": [at("EIO=abc&transport=polling")],
    "WebSocket without an upgrade": [at("EIO=4&transport=websocket")],
    "an upgrade with an unknown transport": [at("EIO=4&transport=pigeon"), { headers: UPGRADE }],
    "an upgrade of an unknown session": [at("EIO=4&transport=websocket&sid=nobody"), { headers: UPGRADE }],
  };
  for (const [what, [path, options]] of Object.entries(requests)) {
    test(what, async () => {
      const answer = async (url) => {
        const { status, headers, body } = await http(url, path, options);
        return { status, body: body.replace(/"sid":"[^"]*"/, '"sid":…'), type: headers["content-type"] };
      };
      assert.deepEqual(await answer(parlour.url), await answer(reference.url));
    });
  }

  for (const [what, query] of Object.entries({ "with protocol version 3": "EIO=3&transport=websocket", "that says polling": "EIO=4&transport=polling" })) {
    test(`an upgrade ${what} is refused before it is one, where npm's server opens a WebSocket only to end it`, async (t) => {
      assert.equal((await http(parlour.url, at(query), { headers: UPGRADE })).status, 400);
      for (const { url } of [parlour, reference]) {
        const raw = new RawSocket(t, url, at(query));
        assert.deepEqual(await raw.until(() => false), []);
      }
    });
  }

  test("polling a WebSocket's session is a bad request", async (t) => {
    const answer = async (url) => {
      const { open } = await openRaw(t, url);
      const { status, body } = await http(url, at(`EIO=4&transport=polling&sid=${open.sid}`));
      return { status, body };
    };
    assert.deepEqual(await answer(parlour.url), await answer(reference.url));
  });

  test("polling twice at once ends the connection", async () => {
    const answer = async (url) => {
      const polling = await openPolling(url);
      await polling.post("40");
      await polling.poll();
      const both = await Promise.all([polling.poll(), polling.poll()]);
      const then = await polling.poll();
      return { both: both.map(({ status }) => status).sort(), then: [then.status, then.body] };
    };
    assert.deepEqual(await answer(parlour.url), await answer(reference.url));
  });
});

describe("the heartbeat", () => {
  test("comes from the server, and who answers it stays", async (t) => {
    const raw = await enterRaw(t, hasty.url);
    for (let n = 0; n < 4; n++) {
      const [ping] = await raw.until((frame) => frame === "2");
      assert.equal(ping, "2");
      raw.send("3");
    }
    raw.send('421["rooms"]');
    await raw.until((frame) => frame.startsWith("431["));
    assert.equal(raw.end, undefined);
  });

  test("a client that does not answer is dropped as Socket.IO drops it, and its room is told", async (t) => {
    const room = newRoom();
    const ada = await connected(t, hasty.url);
    await ask(ada, "join", room);
    const silent = await enterRaw(t, hasty.url);
    silent.send(`42["join",${JSON.stringify(room)}]`);
    await next(ada, "joined");
    const began = Date.now();

    const end = await silent.closed();

    assert.deepEqual(end, await (await enterRaw(t, hastyReference.url)).closed());
    assert.ok(Date.now() - began < 10_000);
    await next(ada, "left");
    stayedConnected(ada);
  });

  test("holds on long-polling too", async (t) => {
    const room = newRoom();
    const ada = await connected(t, hasty.url);
    await ask(ada, "join", room);
    const polling = await openPolling(hasty.url);
    await polling.post("40");
    await polling.poll();
    await polling.post(`42["join",${JSON.stringify(room)}]`);
    await next(ada, "joined");

    await next(ada, "left");

    assert.equal((await polling.poll()).body, '{"code":1,"message":"Session ID unknown"}');
  });

  test("real clients on both transports stay through many beats", async (t) => {
    const clients = [
      await connected(t, hasty.url, { transports: ["websocket"] }),
      await connected(t, hasty.url, { transports: ["polling"] }),
    ];
    await Promise.all(clients.map((socket) => new Promise((resolve) => {
      let beats = 0;
      socket.io.on("ping", () => ++beats === 5 && resolve(undefined));
    })));
    for (const socket of clients) {
      await ask(socket, "rooms");
      stayedConnected(socket);
    }
  });
});

describe("timeouts", () => {
  test("a client that joins no namespace is closed after the connect timeout", async (t) => {
    const wait = async (url) => {
      const raw = await openRaw(t, url);
      for (;;) {
        const [frame] = await raw.until(() => true);
        if (frame !== "2") return { frame, end: raw.end };
        raw.send("3");
      }
    };
    assert.deepEqual(await wait(hasty.url), await wait(hastyReference.url));
  });

  test("an upgrade that is begun and not finished is given up, and polling goes on", async (t) => {
    const polling = await openPolling(hasty.url);
    await polling.post("40");
    await polling.poll();
    const raw = new RawSocket(t, hasty.url, `/socket.io/?EIO=4&transport=websocket&sid=${polling.open.sid}`);
    raw.ws.on("open", () => raw.send("2probe"));
    assert.deepEqual(await raw.until((frame) => frame === "3probe"), ["3probe"]);

    let ended = false;
    const end = raw.closed().then(() => (ended = true));
    while (!ended) {
      const { body } = await polling.poll();
      if (body.split("\x1e").includes("2")) await polling.post("3");
    }
    await end;

    await polling.post('427["rooms"]');
    let body = "";
    while (!body.includes("437[")) {
      ({ body } = await polling.poll());
      if (body.split("\x1e").includes("2")) await polling.post("3");
    }
  });
});

describe("the payload limit", () => {
  /** An event of exactly that many bytes on the wire, as an Engine.IO message. */
  const eventOf = (size) => {
    const [head, tail] = ['42["no such event","', '"]'];
    return head + "x".repeat(size - head.length - tail.length) + tail;
  };

  test("a message of just that size passes", async (t) => {
    for (const { url } of [reference, parlour]) {
      const raw = await enterRaw(t, url);
      raw.send(eventOf(MAX_PAYLOAD), '421["rooms"]');
      const read = await raw.until((frame) => frame.startsWith("431["));
      assert.equal(raw.end, undefined, JSON.stringify(read));
    }
  });

  test("one byte more is refused as Socket.IO refuses it, and nobody else notices", async (t) => {
    const bystander = await connected(t, parlour.url);
    const end = async (url) => {
      const raw = await enterRaw(t, url);
      raw.send(eventOf(MAX_PAYLOAD + 1));
      return raw.closed();
    };
    assert.deepEqual(await end(parlour.url), await end(reference.url));
    await ask(bystander, "rooms");
    stayedConnected(bystander);
  });

  test("many frames of one message count together", async (t) => {
    const end = async (url) => {
      const raw = await enterRaw(t, url);
      raw.ws.send('42["x","', { fin: false });
      for (let n = 0; n < 11; n++) raw.ws.send("x".repeat(100_000), { fin: false });
      return raw.closed();
    };
    assert.deepEqual(await end(parlour.url), await end(reference.url));
  });

  test("one byte more over long-polling is refused as Socket.IO refuses it", async () => {
    const end = async (url) => {
      const polling = await openPolling(url);
      await polling.post("40");
      await polling.poll();
      const { status, body } = await polling.post(eventOf(MAX_PAYLOAD + 1));
      const then = await polling.post('421["rooms"]');
      return { status, body, then: [then.status, then.body] };
    };
    assert.deepEqual(await end(parlour.url), await end(reference.url));
  });

  for (const transport of ["websocket", "polling"]) {
    test(`a real client that sends 1 MB over ${transport} sees what it sees with Socket.IO`, async (t) => {
      const reason = async (url) => {
        const socket = await connected(t, url, { transports: [transport], reconnection: false });
        socket.emit("message", { room: "x", text: "x".repeat(MAX_PAYLOAD) });
        return next(socket, "disconnect");
      };
      assert.equal(await reason(parlour.url), await reason(reference.url));
    });
  }

  test("can be set", async (t) => {
    const small = await startUp({ args: ["--max-payload", "1000"] });
    t.after(() => small.stop());
    const raw = await enterRaw(t, small.url);
    assert.equal((await openRaw(t, small.url)).open.maxPayload, 1000);
    raw.send(eventOf(1001));
    assert.equal((await raw.closed()).code, 1009);
  });
});

describe("CORS", () => {
  const origin = { origin: "https://elsewhere.example" };

  test("any origin may connect by default", async () => {
    const headers = async (url) => {
      const answer = await http(url, "/socket.io/?EIO=4&transport=polling", { headers: origin });
      return [answer.status, answer.headers["access-control-allow-origin"]];
    };
    assert.deepEqual(await headers(parlour.url), await headers(reference.url));
  });

  test("a preflight is answered", async () => {
    const preflight = { ...origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const { status, headers } = await http(parlour.url, "/socket.io/?EIO=4&transport=polling", { method: "OPTIONS", headers: preflight });
    assert.equal(status, 204);
    assert.equal(headers["access-control-allow-origin"], "*");
    assert.match(headers["access-control-allow-methods"] ?? "", /POST/);
    assert.match(headers["access-control-allow-headers"] ?? "", /content-type|\*/i);
  });

  test("an origin that is not allowed is forbidden, on both transports, and the others are not", async (t) => {
    const strict = await startUp({ args: ["--variable", "allowed_origins=https://friend.example"] });
    t.after(() => strict.stop());
    const allowRequest = ({ headers }, decide) => decide("Forbidden", headers.origin === "https://friend.example");
    const strictReference = await startReference({ allowRequest });
    t.after(() => strictReference.stop());
    const handshake = async (url, origin, headers = {}) => {
      const path = `/socket.io/?EIO=4&transport=${headers.upgrade ?? "polling"}`;
      const answer = await http(url, path, { headers: { ...headers, origin } });
      return { status: answer.status, body: answer.status >= 400 && answer.body };
    };

    for (const headers of [{}, UPGRADE]) {
      const stranger = await handshake(strict.url, "https://stranger.example", headers);
      assert.deepEqual(stranger, await handshake(strictReference.url, "https://stranger.example", headers));
      assert.ok(stranger.status >= 400);
      assert.ok((await handshake(strict.url, "https://friend.example", headers)).status <= 200);
    }
  });
});

describe("the path", () => {
  test("can be set, and what is elsewhere goes to the app", async (t) => {
    const elsewhere = await startUp({ args: ["--path", "/chat"] });
    t.after(() => elsewhere.stop());

    const socket = await connected(t, elsewhere.url, { path: "/chat" });
    await ask(socket, "rooms");
    const lost = client(t, elsewhere.url, { transports: ["polling"], reconnection: false });

    await next(lost, "connect_error");
    assert.deepEqual(unread(lost, "connect"), []);
  });
});
