// Clients, apps and machines that stall, break off, or have nothing left; and what the server then says of
// itself. What a request is about is of no matter here.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, readlink, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { PATIENCE, ask, connected, newRoom } from "./harness/clients.mjs";
import { ROOT, filesBelow, freePort, newStateDir, run, secrets, startApp, startRelay, startUp, within } from "./harness/parlour.mjs";
import { http, openPolling } from "./harness/raw.mjs";

/** Short enough for a test to wait for, long enough for a busy machine. */
const STALL = ["--stall-timeout", "1000"];

/** `parlour up` with a control listener; `control` is its address. */
async function upWithControl(t) {
  const control = `127.0.0.1:${await freePort()}`;
  const server = await startUp({ args: ["--control", control] });
  t.after(() => server.kill9());
  return Object.assign(server, { control: `http://${control}` });
}

/** `parlour relay`, the same way. @param {Parameters<typeof startRelay>[0]} options */
async function relayWithControl(t, options) {
  const control = `127.0.0.1:${await freePort()}`;
  const relay = await startRelay({ ...options, control });
  t.after(() => relay.kill9());
  return Object.assign(relay, { control: `http://${control}` });
}

/** What the control listener says until it says what is wanted. */
async function said(control, path, status, body = /^/) {
  let answer;
  const wait = async () => {
    for (;;) {
      answer = await http(control, path).catch((error) => ({ status: 0, body: String(error) }));
      if (answer.status === status && body.test(answer.body)) return answer;
      await sleep(50);
    }
  };
  return within(4 * PATIENCE, wait(), () => `${path} says ${answer?.status} ${answer?.body}`);
}

/** A TCP connection to a server, for what no HTTP client would do. */
async function raw(t, url) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything that comes until the server closes the connection. */
async function untilClosed(socket) {
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  await within(4 * PATIENCE, once(socket, "close"), () => `the connection stays open: ${text.slice(0, 200)}`);
  return text;
}

/** How many sockets a server's first process has. */
async function sockets(server) {
  const folder = `/proc/${server.front.child.pid}/fd`;
  const links = (await readdir(folder)).map((name) => readlink(join(folder, name)).catch(() => ""));
  return (await Promise.all(links)).filter((link) => link.startsWith("socket:")).length;
}

/** @param {() => Promise<boolean>} condition @param {string} complaint */
async function until(condition, complaint) {
  const wait = async () => {
    while (!(await condition())) await sleep(50);
  };
  await within(4 * PATIENCE, wait(), () => complaint);
}

/** The file that the lobby's database is in. */
async function databaseOf(stateDir) {
  const [file] = (await filesBelow(stateDir)).filter((name) => name.endsWith(".db"));
  assert.ok(file, `there is no database in ${stateDir}`);
  return file;
}

describe("file descriptors run out", () => {
  /** More connections than there are descriptors. */
  async function exhaust(t, url) {
    /** @type {import("node:net").Socket[]} */
    const idle = [];
    for (let n = 0; n < 200; n += 1) idle.push(await raw(t, url));
    return idle;
  }

  test("the relay tells clients so, its control listener still answers, and it recovers", async (t) => {
    const env = secrets();
    const app = await startApp({ env });
    t.after(() => app.kill9());
    const relay = await relayWithControl(t, { origin: app.url, env, openFiles: 128 });
    await said(relay.control, "/readyz", 200);

    const idle = await exhaust(t, relay.url);
    const turnedAway = await http(relay.url, "/");
    assert.equal(turnedAway.status, 503);
    assert.equal(turnedAway.headers["retry-after"], "5");
    assert.equal((await http(relay.control, "/healthz")).status, 200);
    await said(relay.control, "/readyz", 503, /Too many open files/);
    const complaints = relay.logs.split("\n").filter((line) => line.includes("cannot accept"));
    assert.ok(complaints.length >= 1 && complaints.length <= 20, complaints.join("\n"));

    idle.forEach((socket) => socket.destroy());
    await said(relay.control, "/readyz", 200);
    await ask(await connected(t, relay.url), "rooms");
  });

  test("the soft limit is raised to the hard one, and what does not suffice then is said at the start", async (t) => {
    const limit = async (server) => /^Max open files +(\d+) +(\d+)/m.exec(await readFile(`/proc/${server.child.pid}/limits`, "utf8"));
    const env = secrets();
    const roomy = await startRelay({ origin: "http://127.0.0.1:9", env, openFiles: "-S 256", args: ["--max-connections", "300"] });
    t.after(() => roomy.kill9());
    const [, soft, hard] = (await limit(roomy)) ?? [];
    assert.ok(Number(soft) > 800 && soft === hard, `${soft} of ${hard}`);
    assert.doesNotMatch(roomy.logs, /open files/);

    const usual = await startRelay({ origin: "http://127.0.0.1:9", env, openFiles: 1024 });
    t.after(() => usual.kill9());
    await until(async () => /--max-connections is 100000\D.*may have 1024\b.*LimitNOFILE.*--max-connections to 524\b/.test(usual.logs), "nothing is said");

    const asked = ["relay", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--max-connections", "2000000000"];
    const { code, stderr } = await run(asked, await newStateDir(), env);
    assert.equal(code, 1);
    assert.match(stderr, /^parlour: --max-connections is 2000000000, which needs 2000000500 open files, and this process may have \d+: /m);
  });

  test("the app's own port tells clients so, and recovers", async (t) => {
    const app = await startApp({ env: secrets(), openFiles: 160 });
    t.after(() => app.kill9());
    assert.equal((await http(app.url, "/")).status, 200);
    const idle = await exhaust(t, app.url);
    assert.equal((await http(app.url, "/")).status, 503);
    idle.forEach((socket) => socket.destroy());
    await said(app.url, "/", 200);
  });
});

describe("who stalls is let go", () => {
  for (const [name, start] of [
    ["the relay", () => startUp({ args: STALL })],
    ["the app's own port", () => startApp({ env: secrets(), args: STALL })],
  ]) {
    test(`${name}: half a header`, async (t) => {
      const server = await start();
      t.after(() => server.kill9());
      const socket = await raw(t, server.url);
      socket.write("GET / HTTP/1.1\r\nhost: x\r\nx-half: ");
      const answer = await untilClosed(socket);
      assert.ok(answer === "" || answer.startsWith("HTTP/1.1 408"), answer);
    });
  }

  test("a POST of Engine.IO whose body does not come ends with its session", async (t) => {
    const server = await startUp({ args: ["--ping-interval", "500", "--ping-timeout", "500"] });
    t.after(() => server.kill9());
    const posts = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const { open } = await openPolling(server.url);
        const socket = await raw(t, server.url);
        socket.write(`POST /socket.io/?EIO=4&transport=polling&sid=${open.sid} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n40`);
        return untilClosed(socket);
      }),
    );
    assert.equal(posts.length, 30);
    for (const answer of posts) assert.match(answer, /^HTTP\/1\.1 (408|400) /);
  });

  test("a poll that nobody reads", async (t) => {
    const server = await startUp({ args: STALL });
    t.after(() => server.kill9());
    const room = newRoom();
    const ada = await connected(t, server.url);
    await ask(ada, "join", room);
    const text = "x".repeat(15_000);
    for (let n = 0; n < 50; n += 1) await ask(ada, "message", { room, text });

    const eve = await openPolling(server.url);
    await eve.post("40");
    await eve.poll();
    const asked = Array.from({ length: 12 }, (_, id) => `42${id}["history",{"room":"${room}"}]`);
    for (const packet of asked) await eve.post(packet);
    const before = await sockets(server);
    const socket = await raw(t, server.url);
    socket.pause();
    await until(async () => (await sockets(server)) > before, "the connection is not there");
    socket.write(`GET /socket.io/?EIO=4&transport=polling&sid=${eve.open.sid} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await until(async () => (await sockets(server)) <= before, "the connection is still there");
  });

  test("a body that trickles to the app is 408, one that is malformed is 400", async (t) => {
    // An app that waits for the body before it answers.
    const app = createHttpServer((request, response) => request.resume().on("end", () => response.end("whole"))).listen(0, "127.0.0.1");
    t.after(() => app.close());
    await once(app, "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (app.address());
    const server = await startRelay({ origin: `http://127.0.0.1:${port}`, env: secrets(), args: STALL });
    t.after(() => server.kill9());
    assert.equal((await http(server.url, "/", { method: "POST", body: "some" })).body, "whole");
    const late = await raw(t, server.url);
    late.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nsome");
    const malformed = await raw(t, server.url);
    malformed.write("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n");
    assert.match(await untilClosed(late), /^HTTP\/1\.1 408 /);
    assert.match(await untilClosed(malformed), /^HTTP\/1\.1 400 /);
  });

  test("the app's own port: a body that trickles is 408, one that is slow is waited for", async (t) => {
    const env = secrets();
    const app = await startApp({ env, args: STALL });
    t.after(() => app.kill9());
    // A relay's batch is read to its end before it is looked at.
    const head = Object.entries({
      authorization: `Bearer ${env.SPIN_VARIABLE_RELAY_SECRET}`,
      ...{ "parlour-protocol": 1, "parlour-relay": "test", "parlour-lane": "handshake", "parlour-connects": 0 },
      ...{ "parlour-epoch": 1, "parlour-sequence": 1, "parlour-attempt": 1 },
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    const batch = async (length) => {
      const socket = await raw(t, app.url);
      socket.write(`POST /relay/handshake HTTP/1.1\r\nhost: x\r\n${head.join("")}content-length: ${length}\r\n\r\n`);
      return socket;
    };
    const [trickle, slow] = [await batch(100), await batch(4 * 2000)];
    const ends = Promise.all([untilClosed(trickle), within(4 * PATIENCE, once(slow, "data"), () => "no answer")]);
    const drops = setInterval(() => trickle.write(" "), 100);
    t.after(() => clearInterval(drops));
    // In all longer than --stall-timeout, and more than 1 KiB a second.
    for (let n = 0; n < 4; n += 1) {
      await sleep(600);
      slow.write(" ".repeat(2000));
    }
    const [late, [whole]] = await ends;
    assert.match(late, /^HTTP\/1\.1 408 /);
    assert.match(String(whole), /^HTTP\/1\.1 400 /);
  });

  test("an app that is silent: its requests are so many at once, and end", async (t) => {
    let open = 0;
    let most = 0;
    const silent = createServer((socket) => {
      open += 1;
      most = Math.max(most, open);
      socket.on("error", () => {}).on("close", () => (open -= 1));
      socket.resume();
    }).listen(0, "127.0.0.1");
    t.after(() => silent.close());
    await once(silent, "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (silent.address());
    const relay = await startRelay({ origin: `http://127.0.0.1:${port}`, env: secrets(), args: STALL });
    t.after(() => relay.kill9());

    const answers = await Promise.all(Array.from({ length: 300 }, () => http(relay.url, "/page").then(({ status }) => status)));
    assert.deepEqual([...new Set(answers)].filter((status) => status !== 503), [504]);
    assert.ok(most <= 140, `${most} connections to the app at once`);
  });
});

describe("health", () => {
  test("a relay without its app lives and is not ready", async (t) => {
    const env = secrets();
    const app = await startApp({ env });
    const relay = await relayWithControl(t, { origin: app.url, env });
    await said(relay.control, "/healthz", 200, /^ok\n$/);
    await said(relay.control, "/readyz", 200, /^ok\n$/);
    await app.kill9();
    await said(relay.control, "/readyz", 503, /no connection to the app at 127\.0\.0\.1/);
    await said(relay.control, "/healthz", 200);
    const again = await startApp({ env, stateDir: app.stateDir, listen: new URL(app.url).host });
    t.after(() => again.kill9());
    await said(relay.control, "/readyz", 200);
  });

  test("a relay with the wrong secret is not ready", async (t) => {
    const app = await startApp({ env: secrets() });
    t.after(() => app.kill9());
    const relay = await relayWithControl(t, { origin: app.url, env: secrets() });
    await said(relay.control, "/readyz", 503, /401.*relay_secret/);
  });

  test("a database that others hold locked makes the server not ready, with SQLite's own words", async (t) => {
    const server = await upWithControl(t);
    await said(server.control, "/readyz", 200);
    const database = await databaseOf(server.stateDir);
    const holder = spawn("sqlite3", [database], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => holder.kill("SIGKILL"));
    holder.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n");
    await within(PATIENCE, once(holder.stdout, "data"), () => "the lock is not held");
    await said(server.control, "/readyz", 503, /lobby cannot do its work: .*locked/);
    await said(server.control, "/healthz", 200);
    holder.stdin.end("ROLLBACK;\n");
    await said(server.control, "/readyz", 200);
  });

  test("methods and paths that it does not have", async (t) => {
    const { control } = await upWithControl(t);
    assert.equal((await http(control, "/readyz", { method: "POST" })).status, 405);
    assert.equal((await http(control, "/ready")).status, 404);
    const headers = { "transfer-encoding": "chunked" };
    assert.equal((await http(control, "/publish", { method: "POST", headers, body: "{}" })).status, 401);
  });
});

describe("secrets and the command line", () => {
  test("a secret is refused there, with the ways to give it, and is not repeated", async () => {
    for (const key of ["relay_secret", "auth_secret"]) {
      const args = ["--variable", `${key}=hush-hush`, "--listen", "127.0.0.1:0", "--state-dir", await newStateDir()];
      for (const command of ["up", "app"]) {
        const { code, stderr } = await run([command, "-f", join(ROOT, "spin.toml"), ...args]);
        assert.notEqual(code, 0);
        assert.match(stderr, new RegExp(`SPIN_VARIABLE_${key.toUpperCase()}`));
        assert.match(stderr, new RegExp(`--variable ${key}=@FILE`));
        assert.ok(!stderr.includes("hush-hush"), stderr);
      }
    }
  });

  test("a file gives it, as Spin reads it", async (t) => {
    const stateDir = await newStateDir();
    const [one, all] = [join(stateDir, "relay-secret"), join(stateDir, "variables.json")];
    await writeFile(one, "a secret of the test's own making");
    await writeFile(all, JSON.stringify({ auth_secret: "another one", recovery_duration: "1m" }));
    const args = ["--variable", `relay_secret=@${one}`, "--variable", `@${all}`];
    const app = await startApp({ args });
    t.after(() => app.kill9());
    const env = { SPIN_VARIABLE_RELAY_SECRET: "a secret of the test's own making" };
    const relay = await startRelay({ origin: app.url, env });
    t.after(() => relay.kill9());
    await ask(await connected(t, relay.url), "rooms");
  });

  test("one with a line end behind it is named at start", async () => {
    const stateDir = await newStateDir();
    const file = join(stateDir, "relay-secret");
    await writeFile(file, "secret\n");
    const args = ["--variable", `relay_secret=@${file}`, "--listen", "127.0.0.1:0", "--state-dir", stateDir];
    const { code, stderr } = await run(["up", "-f", join(ROOT, "spin.toml"), ...args]);
    assert.notEqual(code, 0);
    assert.match(stderr, /relay_secret cannot be sent.*line end/);
  });
});

describe("the log", () => {
  test("is an object a line if that is asked for", async (t) => {
    const server = await startUp({ args: ["--log-format", "json"] });
    t.after(() => server.kill9());
    const ada = await connected(t, server.url);
    ada.disconnect();
    await until(async () => server.front.stderr.includes("socket disconnected"), "the log does not say that she has gone");
    await server.stop();
    const lines = server.front.stderr.trim().split("\n").map((line) => JSON.parse(line));
    const goodbye = lines.find((line) => line.message === "socket disconnected");
    assert.deepEqual([goodbye?.level, goodbye?.namespace, goodbye?.reason], ["INFO", "/", "client namespace disconnect"]);
    assert.ok(lines.every((line) => !Number.isNaN(Date.parse(line.timestamp)) && line.level && line.message));
  });

  test("the reason for not starting is one, too", async () => {
    const args = ["relay", "--origin", "http://127.0.0.1:9", "--state-dir", await newStateDir(), "--log-format", "json"];
    const { stderr } = await run(args);
    assert.match(JSON.parse(stderr).message, /no relay_secret/);
  });

  test("has no colours where there is no terminal, and no session's whole id", async (t) => {
    const server = await startUp({ env: { RUST_LOG: "debug" } });
    t.after(() => server.kill9());
    const sockets = [await connected(t, server.url), await connected(t, server.url, { transports: ["polling"] }), await connected(t, server.url, { transports: ["polling", "websocket"] })];
    await within(PATIENCE, upgraded(sockets[2]), () => "no upgrade");
    const ids = sockets.map((socket) => socket.io.engine.id);
    sockets.forEach((socket) => socket.disconnect());
    await server.stop();
    assert.ok(!server.logs.includes("\x1b"), "colours");
    for (const id of ids) {
      assert.ok(server.logs.includes(/** @type {string} */ (id).slice(0, 6)), "the session is in the log");
      assert.ok(!server.logs.includes(id), "a session's id is in the log");
    }
  });
});

async function upgraded(socket) {
  if (socket.io.engine.transport.name !== "websocket") await new Promise((done) => socket.io.engine.once("upgrade", done));
}
