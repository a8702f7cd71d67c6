// What the command line says, and what it never says.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, client, connected, newRoom, next } from "./harness/clients.mjs";
import { ROOT, filesBelow, newStateDir, run, secrets, startApp, startRelay, startUp, token } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

const decoded = (part) => JSON.parse(Buffer.from(part, "base64url").toString());

test("parlour up prints one line, where it listens, and picks a free port for port 0", async (t) => {
  const [one, other] = [await startUp(), await startUp()];
  t.after(() => Promise.all([one.kill9(), other.kill9()]));

  assert.equal(one.front.stdout, `Listening on ${one.url}\n`);
  assert.match(one.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.notEqual(one.url, other.url);
  assert.equal((await http(one.url, "/")).status, 200);
});

test("the log has a line when a socket connects and one when it disconnects, with the reason", async (t) => {
  const server = await startUp();
  t.after(() => server.kill9());
  const friend = await connected(t, server.url);
  const room = newRoom();
  await ask(friend, "join", room);
  const ada = await connected(t, server.url);
  const { id } = ada;
  await ask(ada, "join", room);
  ada.disconnect();
  await next(friend, "left");
  await server.stop();

  const lines = server.logs.split("\n").filter((line) => line.includes(/** @type {string} */ (id)));
  assert.equal(lines.filter((line) => /\bconnected\b/.test(line)).length, 1, lines.join("\n"));
  const [goodbye] = lines.filter((line) => /\bdisconnected\b/.test(line));
  assert.match(goodbye ?? server.logs, /client namespace disconnect/);
});

describe("secrets", () => {
  test("parlour relay says which secret is missing and what to do", async () => {
    const { code, stderr } = await run(["relay", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--state-dir", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.match(stderr, /relay_secret/);
    assert.match(stderr, /SPIN_VARIABLE_RELAY_SECRET/);
    assert.match(stderr, /--state-dir/);
  });

  test("parlour app says which secrets are missing and what to do", async () => {
    const stateDir = await newStateDir();
    const { code, stderr } = await run(["app", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir]);
    assert.notEqual(code, 0);
    assert.match(stderr, /(relay|auth)_secret/);
    assert.match(stderr, /SPIN_VARIABLE_(RELAY|AUTH)_SECRET/);
  });

  test("parlour token says what is missing and what to do", async () => {
    const { code, stdout, stderr } = await run(["token", "--sub", "ada", "--name", "Ada", "--state-dir", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.equal(stdout, "");
    assert.match(stderr, /SPIN_VARIABLE_AUTH_SECRET/);
  });

  test("parlour app and parlour relay use those that parlour up has kept", async (t) => {
    const stateDir = await newStateDir();
    await (await startUp({ stateDir })).stop();
    const app = await startApp({ stateDir });
    t.after(() => app.kill9());
    const relay = await startRelay({ origin: app.url, stateDir });
    t.after(() => relay.kill9());
    await ask(await connected(t, relay.url), "rooms");
    await connected(t, relay.url, { namespace: "/members", auth: { token: await token(stateDir) } });
  });

  test("are in no log, however much is logged, and in no process's arguments", async (t) => {
    const given = secrets();
    const kept = await newStateDir();
    const servers = [
      await startUp({ env: { ...given, RUST_LOG: "debug" } }),
      await startUp({ stateDir: kept, env: { RUST_LOG: "debug" } }),
    ];
    t.after(() => Promise.all(servers.map((server) => server.kill9())));
    const texts = await Promise.all((await filesBelow(kept)).filter((file) => /secret/.test(file)).map((file) => readFile(file, "utf8")));
    const written = texts.flatMap((text) => text.match(/[\w+/=-]{16,}/g) ?? []);
    assert.ok(written.length >= 2, "the kept secrets were found");
    const tokens = [];
    for (const [server, env] of [[servers[0], given], [servers[1], {}]]) {
      const good = await token(server.stateDir, { env });
      tokens.push(good);
      const ada = await connected(t, server.url, { namespace: "/members", auth: { token: good } });
      await ask(ada, "join", "a room");
      const eve = client(t, server.url, { namespace: "/members", auth: { token: `${good}x` } });
      await next(eve, "connect_error");
    }
    const hidden = [...Object.values(given), ...written, ...tokens, ...tokens.map((good) => good.split(".")[2])];

    const commands = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
    for (const pid of commands) {
      const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      assert.ok(!hidden.some((secret) => words.includes(secret)), `the arguments of process ${pid} have a secret`);
    }
    for (const server of servers) {
      await server.stop();
      assert.ok(server.logs.length > 0);
      for (const secret of hidden) assert.ok(!server.logs.includes(secret), "a log has a secret or a token");
    }
  });
});

describe("parlour token", () => {
  test("prints a token that says who and until when, signed with auth_secret", async () => {
    const env = { SPIN_VARIABLE_AUTH_SECRET: "a secret of the test's own making" };
    const printed = await token(await newStateDir(), { sub: "ada", name: "Ada Lovelace", ttl: 90, env });
    const [head, body, signature] = printed.split(".");

    assert.equal(decoded(head).alg, "HS256");
    const claims = decoded(body);
    assert.deepEqual([claims.sub, claims.name], ["ada", "Ada Lovelace"]);
    assert.ok(Math.abs(claims.exp - Date.now() / 1000 - 90) < 30);
    const expected = createHmac("sha256", env.SPIN_VARIABLE_AUTH_SECRET).update(`${head}.${body}`).digest("base64url");
    assert.equal(signature, expected);
  });

  test("says who made it and for whom, and need not end", async () => {
    const env = { SPIN_VARIABLE_AUTH_SECRET: "a secret of the test's own making" };
    const { stdout } = await run(["token", "--sub", "ada", "--iss", "https://id.example", "--aud", "chat", "--no-exp"], undefined, env);
    const { iat, ...claims } = decoded(stdout.split(".")[1]);
    assert.deepEqual(claims, { sub: "ada", iss: "https://id.example", aud: "chat" });
    assert.equal(typeof iat, "number");
    assert.notEqual((await run(["token", "--sub", "ada", "--no-exp", "--ttl", "5"], undefined, env)).code, 0);
  });

  test("needs to know whose", async () => {
    const { code, stderr } = await run(["token", "--name", "Ada"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--sub/);
  });
});

describe("what is wrong with the manifest", () => {
  const up = async (manifest) => run(["up", "-f", manifest, "--listen", "127.0.0.1:0", "--state-dir", await newStateDir()]);

  test("a manifest that is not there is named", async () => {
    const { code, stderr } = await up("/no/such/spin.toml");
    assert.notEqual(code, 0);
    assert.match(stderr, /\/no\/such\/spin\.toml/);
  });

  /** The application's own manifest, changed, beside the real one's paths. */
  const changed = async (change) => {
    const file = join(await newStateDir(), "spin.toml");
    const manifest = await readFile(join(ROOT, "spin.toml"), "utf8");
    await writeFile(file, change(manifest.replace(/"(target|components)\//g, `"${ROOT}/$1/`)));
    return file;
  };

  test("a changed copy of the manifest runs, so that the next tests fail for their own reason", async (t) => {
    const server = await startUp({ manifest: await changed((manifest) => manifest) });
    t.after(() => server.kill9());
    await ask(await connected(t, server.url), "rooms");
  });

  test("an unknown key is named, with its file", async () => {
    const manifest = await changed((text) => text.replace("[component.rooms]", "[component.rooms]\nsauce = true"));
    const { code, stderr } = await up(manifest);
    assert.notEqual(code, 0);
    assert.match(stderr, /sauce/);
    assert.ok(stderr.includes(manifest), stderr);
  });

  test("a component that is not built is named, with its file", async () => {
    const manifest = await changed((text) => text.replace("wasm/lobby.wasm", "wasm/no-lobby.wasm"));
    const { code, stderr } = await up(manifest);
    assert.notEqual(code, 0);
    assert.match(stderr, /no-lobby\.wasm/);
    assert.match(stderr, /lobby\b/);
  });

  test("a dependency that does not fit is named", async () => {
    const manifest = await changed((text) => text.replace('{ component = "rooms", inherit', '{ component = "web", inherit'));
    const { code, stderr } = await up(manifest);
    assert.notEqual(code, 0);
    assert.match(stderr, /parlour:rooms\/rooms@0\.1\.0/);
    assert.match(stderr, /lobby/);
  });

  test("a variable without a value is named", async () => {
    const manifest = await changed((text) => text.replace("[variables]", "[variables]\nhouse_rules = { required = true }"));
    const { code, stderr } = await up(manifest);
    assert.notEqual(code, 0);
    assert.match(stderr, /house_rules/);
  });

  test("a host to be reached that a variable leaves empty is named, as Spin does", async () => {
    const args = ["--variable", "auth_jwks_host=", "--listen", "127.0.0.1:0", "--state-dir", await newStateDir()];
    const { code, stderr } = await run(["up", "-f", join(ROOT, "spin.toml"), ...args]);
    assert.notEqual(code, 0);
    assert.match(stderr, /\[component\.\S+\] allowed_outbound_hosts: "\{\{ auth_jwks_host \}\}"/);
  });

  test("an address that is taken is named", async (t) => {
    const first = await startUp();
    t.after(() => first.kill9());
    const { host } = new URL(first.url);
    const { code, stderr } = await run(["up", "-f", join(ROOT, "spin.toml"), "--listen", host, "--state-dir", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(host), stderr);
  });
});
