// A wrong set-up is said at start, in one line, with the remedy: by `parlour up`, by `parlour relay` once its app answers, and
// by `parlour check`, which asks an app wherever it runs. Each test has a manifest or an option with one thing wrong.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE, ask, client, connected, newRoom, next } from "./harness/clients.mjs";
import { ROOT, freePort, newStateDir, run, secrets, startApp, startRelay, startUp, within } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

/** The chat's manifest, with texts in it replaced. @param {[string | RegExp, string][]} changes */
async function changed(...changes) {
  let text = (await readFile(join(ROOT, "spin.toml"), "utf8")).replace(/"(target|components)\//g, `"${ROOT}/$1/`);
  for (const [before, after] of changes) {
    assert.notEqual(text.replace(before, after), text, `the manifest has not ${before}`);
    text = text.replace(before, after);
  }
  const file = join(await newStateDir(), "spin.toml");
  await writeFile(file, text);
  return file;
}

const TRIGGER = (route, component) => `[[trigger.http]]\nroute = ${route}\ncomponent = "${component}"\n`;
const HANDSHAKE = TRIGGER('"/relay/handshake"', "handshake");
const ROUTER = TRIGGER('"/relay"', "router");
const LOBBY = TRIGGER("{ private = true }", "lobby");
const ROOMS = '[component.lobby.dependencies]\n"parlour:rooms/rooms@0.1.0" = { component = "rooms", inherit_configuration = ["sqlite_databases"] }\n';

/** Starts `parlour up`, which must end before it listens. Its complaint. */
async function refused(manifest, { args = [], env = {} } = {}) {
  const stateDir = await newStateDir();
  const all = ["up", "-f", manifest, "--listen", "0", "--state-dir", stateDir, ...args];
  const { code, stdout, stderr } = await run(all, stateDir, env);
  assert.equal(stdout, "", "it does not say that it listens");
  assert.notEqual(code, 0, stderr);
  return stderr;
}

/** The one line of the complaint that has this word. */
function line(stderr, word) {
  const lines = stderr.split("\n").filter((line) => line.startsWith("parlour: ") && line.includes(word));
  assert.equal(lines.length, 1, stderr);
  return lines[0];
}

describe("parlour up says at start", () => {
  for (const [what, changes, says] of [
    ["that no route takes handshakes", [[HANDSHAKE, ""]], [/nothing takes handshakes/, /route = "\/relay\/handshake" and component = "handshake"/]],
    ["that no route takes batches, instead of letting clients hang", [[ROUTER, ""]], [/nothing takes batches/, /route = "\/relay" and component = "router"/]],
    ["that two routes are exchanged", [[HANDSHAKE, TRIGGER('"/relay/handshake"', "x")], [ROUTER, TRIGGER('"/relay"', "handshake")], ['component = "x"', 'component = "router"']], [/\/relay leads to the component handshake, and must lead to router/]],
    ["that a component's name does not exist, and which was meant", [['"component": "lobby"', '"component": "loby"']], [/gives \/ the component loby, and there is no \[component\.loby\]/, /did you mean lobby\?/]],
    ["that a namespace has no trigger", [[LOBBY, ""]], [/component lobby, which no request can reach/, /route = \{ private = true \} and component = "lobby"/]],
    ["that a dependency is missing, with its line", [[ROOMS, ""]], [/\[component\.lobby\] imports parlour:rooms\/rooms@0\.1\.0/, /"parlour:rooms\/rooms@0\.1\.0" = \{ component = "rooms", inherit_configuration = \["sqlite_databases"\] \}/]],
    ["that a namespace has no database", [['wasm/lobby.wasm"\nsqlite_databases = ["default"]', 'wasm/lobby.wasm"']], [/the namespace \/ \(component lobby\): cannot open the SQLite database `default`/, /sqlite_databases = \["default"\]/]],
    ["that a dependency does not inherit the database", [[ROOMS, ROOMS.replace(', inherit_configuration = ["sqlite_databases"]', "")]], [/the namespace \/ \(component lobby\)/, /its dependency on rooms inherit it/]],
    ["that a component is no namespace", [['"component": "lobby"', '"component": "page"'], [LOBBY, `${LOBBY}\n${TRIGGER("{ private = true }", "page")}\n[component.page]\nsource = "${ROOT}/target/wasm32-wasip2/wasm/web.wasm"\n`]], [/the namespace \/ \(component page\): it is no namespace/, /docs\/namespace\.md/]],
    ["that it has no secret to know its relay by", [[/relay_secret = \{ required.*\n/, ""], [/relay_secret = "\{\{.*\n/, ""], [/relay_secret = "\{\{.*\n/, ""]], [/no variable relay_secret/, /relay_secret = \{ required = true, secret = true \}/]],
    ["that a component does not get the secret", [['relay_secret = "{{ relay_secret }}"\nallowed', "allowed"]], [/the component at \/relay\/handshake: the variable relay_secret is missing/, /spin\.toml/]],
    ["that the router does not get its namespaces", [["namespaces = '''{", "nobody = '''{"]], [/the component at \/relay: the variable namespaces is missing/]],
  ]) {
    test(/** @type {string} */ (what), async () => {
      const stderr = await refused(await changed(.../** @type {any} */ (changes)));
      const [first, ...others] = /** @type {RegExp[]} */ (says);
      const lines = stderr.split("\n").filter((text) => first.test(text) && text.startsWith("parlour: "));
      assert.equal(lines.length, 1, stderr);
      for (const other of others) assert.match(lines[0], other);
    });
  }

  test("each variable that cannot be read: its name, its value, and what it may be", async () => {
    const wrong = {
      recovery_duration: ["2minutes", /not a number followed by ms, s, m, h or d, such as 2m, nor none/],
      retention_age: ["long", /nor none/],
      retention_count: ["many", /not a number, nor none/],
      recovery_skip_middlewares: ["yes", /neither true nor false/],
      auth_allow_unlimited: ["maybe", /neither true nor false/],
      allowed_origins: ["chat.example", /origins such as https:\/\/chat\.example/],
    };
    const args = Object.entries(wrong).flatMap(([name, [value]]) => ["--variable", `${name}=${value}`]);
    const stderr = await refused(join(ROOT, "spin.toml"), { args });
    for (const [name, [value, accepted]] of Object.entries(wrong)) {
      const lines = stderr.split("\n").filter((text) => text.startsWith("parlour: ") && text.includes(`the variable ${name} `));
      // The lobby and the members' namespace have the same variables.
      assert.ok(lines.length >= 1, `${name}: ${stderr}`);
      for (const text of lines) {
        assert.ok(text.includes(`"${value}"`), text);
        assert.match(text, /** @type {RegExp} */ (accepted));
      }
    }
  });

  test("that middleware's secret can be guessed, and how to make one", async () => {
    const stderr = await refused(join(ROOT, "spin.toml"), { env: { SPIN_VARIABLE_AUTH_SECRET: "a secret of 31 bytes, too few.." } });
    const text = line(stderr, "auth_secret");
    assert.match(text, /the namespace \/members/);
    assert.match(text, /has 31 bytes.*32/);
    assert.match(text, /openssl rand/);
  });

  test("that there is no such --variable, and which was meant", async () => {
    const stderr = await refused(join(ROOT, "spin.toml"), { args: ["--variable", "recovery_duraton=2m"] });
    assert.match(line(stderr, "recovery_duraton"), /no such variable: did you mean recovery_duration\?/);
  });

  test("that RUST_LOG is no level", async () => {
    for (const level of ["verbose", "info,parlour_relay=loud"]) {
      const stderr = await refused(join(ROOT, "spin.toml"), { env: { RUST_LOG: level } });
      assert.match(line(stderr, "RUST_LOG"), /error, warn, info, debug, trace/);
    }
  });

  test("by which process its state directory is used", async (t) => {
    const first = await startUp();
    t.after(() => first.kill9());
    const all = ["up", "-f", join(ROOT, "spin.toml"), "--listen", "0", "--state-dir", first.stateDir];
    const { code, stderr } = await run(all);
    assert.notEqual(code, 0);
    assert.match(line(stderr, "state directory"), new RegExp(`another \`parlour up\` \\(process ${first.front.child.pid}\\) uses .*--state-dir`));
  });

  test("what may pass, and serves all the same", async (t) => {
    const manifest = await changed(['"component": "members", "middleware": "auth"', '"component": "members", "middleware": "rate-limit", "proof": "header"'], ["middleware = [\n", 'middleware = [\n  { component = "rate-limit" },\n'], ['  { component = "auth", inherit_configuration = ["variables", "allowed_outbound_hosts", "sqlite_databases"] },\n', ""], ["[component.auth]", `[component.rate-limit]\nsource = "${ROOT}/target/wasm32-wasip2/wasm/api_key.wasm"\n[component.auth]`]);
    const server = await startUp({ manifest });
    t.after(() => server.kill9());
    await ask(await connected(t, server.url), "rooms");
    assert.match(server.logs, /WARN.*the namespace \/members \(component members\): the middleware before members refuses/);
  });
});

test("a variable that has a default needs no entry in the manifest", async (t) => {
  const names = ["allowed_origins", "recovery_duration", "recovery_skip_middlewares", "retention_age", "retention_count", "auth_public_key", "auth_jwks", "auth_jwks_url", "auth_jwks_max_age", "auth_issuer", "auth_audience", "auth_allow_unlimited"];
  const entry = new RegExp(`^(${names.join("|")}) = .*\n`, "m");
  const text = await readFile(join(ROOT, "spin.toml"), "utf8");
  const entries = text.split("\n").filter((text) => entry.test(`${text}\n`));
  assert.ok(entries.length > 2 * names.length, "they are in the manifest");
  const manifest = await changed(...entries.map(() => /** @type {[RegExp, string]} */ ([entry, ""])));
  const server = await startUp({ manifest });
  t.after(() => server.kill9());
  const page = await connected(t, server.url, { extraHeaders: { origin: "https://any.example" } });
  await ask(page, "rooms");
  await connected(t, server.url, { namespace: "/members", auth: { token: await server.token() } });
  const eve = client(t, server.url, { namespace: "/members" });
  assert.equal((await next(eve, "connect_error")).data.code, "missing_token");
});

describe("parlour check", () => {
  const check = async (...args) => {
    const { code, stdout, stderr } = await run(["check", ...args]);
    return { code, lines: stdout.trimEnd().split("\n"), stderr };
  };
  /** The app of this manifest, and `parlour check` of it, by HTTP. */
  const checked = async (t, manifest, { env = secrets(), knows = env } = {}) => {
    const app = await startApp({ manifest, env });
    t.after(() => app.kill9());
    const { code, stdout, stderr } = await run(["check", "--origin", app.url, "--state-dir", await newStateDir()], undefined, knows);
    return { code, lines: stdout.trimEnd().split("\n"), stderr };
  };

  test("of an app elsewhere that is set up well names its namespaces", async (t) => {
    const { code, lines, stderr } = await checked(t, join(ROOT, "spin.toml"));
    assert.equal(code, 0, stderr);
    assert.deepEqual(lines, ["Everything is set up as it must be: / is lobby, /members is members"]);
  });

  test("of a manifest does the same, keeps no secrets, and listens nowhere", async () => {
    const stateDir = await newStateDir();
    const good = await check("-f", join(ROOT, "spin.toml"), "--state-dir", stateDir);
    assert.deepEqual([good.code, good.lines.length], [0, 1], good.stderr);
    await assert.rejects(readFile(join(stateDir, "secrets.json")));
    const bad = await check("-f", await changed([ROUTER, ""]), "--state-dir", stateDir);
    assert.notEqual(bad.code, 0);
    assert.match(bad.lines[0], /^error: nothing takes batches/);
    assert.match(bad.stderr, /^parlour: the set-up has an error$/m);
  });

  test("says all that is wrong, a line each", async (t) => {
    const manifest = await changed([HANDSHAKE, ""], ['retention_count = "{{ retention_count }}"', 'retention_count = "few"']);
    const { code, lines, stderr } = await checked(t, manifest);
    assert.notEqual(code, 0);
    assert.equal(lines.length, 2, lines.join("\n"));
    assert.match(lines[0], /^error: nothing takes handshakes/);
    assert.match(lines[1], /^error: the namespace \/ \(component lobby\): the variable retention_count is "few"/);
    assert.match(stderr, /2 errors/);
  });

  for (const [what, more] of [
    ["is not there", ""],
    ["has no trigger, so that the call ends the router", `[component.shop]\nsource = "${ROOT}/target/wasm32-wasip2/wasm/web.wasm"\n`],
  ]) {
    test(`names the namespace whose component ${what}`, async (t) => {
      // By this route the host does not know the router, so that it reads no namespaces, as Spin does not.
      const route = /** @type {[string, string]} */ ([ROUTER, TRIGGER('"/relay/..."', "router")]);
      const manifest = await changed(route, ['"/members": {', '"/shop": { "component": "shop", "middleware": false },\n  "/members": {'], ...(more ? [/** @type {[string, string]} */ (["[component.auth]", `${more}[component.auth]`])] : []));
      const { code, lines } = await checked(t, manifest);
      assert.notEqual(code, 0);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0], /^error: the namespace \/shop.*\[component\.shop\].*\{ private = true \}/);
    });
  }

  test("names the router that may not call components", async (t) => {
    const { code, lines } = await checked(t, await changed(['allowed_outbound_hosts = ["http://*.spin.internal"]', "allowed_outbound_hosts = []"]));
    assert.notEqual(code, 0);
    for (const namespace of ["/ ", "/members "]) {
      const text = lines.find((text) => text.startsWith(`error: the namespace ${namespace}`));
      assert.match(text ?? lines.join("\n"), /allowed_outbound_hosts = \["http:\/\/\*\.spin\.internal"\]/);
    }
  });

  test("tells another secret from no app at all", async (t) => {
    const other = await checked(t, join(ROOT, "spin.toml"), { knows: secrets() });
    assert.notEqual(other.code, 0);
    assert.deepEqual(other.lines, ["error: the relay and the app have different secrets: give both the same variable relay_secret"]);
    const origin = `http://127.0.0.1:${await freePort()}`;
    const { code, stderr } = await run(["check", "--origin", origin], undefined, secrets());
    assert.notEqual(code, 0);
    assert.match(stderr, /no connection to the app at 127\.0\.0\.1:/);
  });
});

describe("parlour relay", () => {
  const said = async (relay, text) => {
    const wait = async () => {
      while (!text.test(relay.logs)) await sleep(50);
    };
    await within(4 * PATIENCE, wait(), () => `${text} is not in ${relay.logs}`);
  };

  test("starts before its app, and says what is wrong with it once it is there", async (t) => {
    const env = secrets();
    const port = await freePort();
    const relay = await startRelay({ origin: `http://127.0.0.1:${port}`, env });
    t.after(() => relay.kill9());
    await said(relay, /the app is not there yet: no connection/);
    const app = await startApp({ manifest: await changed([HANDSHAKE, ""]), env, listen: `127.0.0.1:${port}` });
    t.after(() => app.kill9());
    await said(relay, /ERROR nothing takes handshakes: .*route = "\/relay\/handshake"/);
  });

  test("has nothing to say of an app that is set up well", async (t) => {
    const env = secrets();
    const app = await startApp({ env });
    t.after(() => app.kill9());
    const relay = await startRelay({ origin: app.url, env, args: ["--max-connections", "100"] });
    t.after(() => relay.kill9());
    const socket = await connected(t, relay.url);
    await ask(socket, "join", newRoom());
    await relay.stop();
    assert.doesNotMatch(relay.logs, /ERROR|WARN/);
  });
});

describe("options as people write them", () => {
  for (const form of [(port) => `${port}`, (port) => `:${port}`, (port) => `localhost:${port}`]) {
    test(`--listen ${form("PORT")}`, async (t) => {
      const port = await freePort();
      const control = await freePort();
      const server = await startUp({ listen: form(port), args: ["--control", form(control)] });
      t.after(() => server.kill9());
      assert.equal(server.url, `http://127.0.0.1:${port}`);
      assert.equal((await http(`http://127.0.0.1:${control}`, "/healthz")).status, 200);
    });
  }

  test("what is no address is said with the ways to write one", async () => {
    const { code, stderr } = await run(["up", "--listen", "here"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--listen .*localhost:3000/);
  });

  for (const [written, interval] of [["25s", 25_000], ["25000", 25_000], ["1500ms", 1500], ["2m", 120_000]]) {
    test(`--ping-interval ${written}`, async (t) => {
      const server = await startUp({ args: ["--ping-interval", `${written}`, "--ping-timeout", "7s", "--connect-timeout", "1m", "--upgrade-timeout", "9s", "--stall-timeout", "20s", "--request-timeout", "1m"] });
      t.after(() => server.kill9());
      const { body } = await http(server.url, "/socket.io/?EIO=4&transport=polling");
      const open = JSON.parse(body.slice(1));
      assert.deepEqual([open.pingInterval, open.pingTimeout], [interval, 7000]);
    });
  }

  test("a time that is none is said with the ways to write one", async () => {
    const { code, stderr } = await run(["up", "--ping-interval", "25 seconds"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--ping-interval .*25s, 500ms, 2m, or 25000/s);
  });

  test("--version says what runs the application, and what it speaks", async () => {
    const { stdout } = await run(["--version"]);
    assert.match(stdout, /^parlour \d+\.\d+\.\d+ \(Wasmtime \d+\.\d+\.\d+; Socket\.IO protocol 5, Engine\.IO protocol 4, relay protocol 1\)\n$/);
    const lock = await readFile(join(ROOT, "Cargo.lock"), "utf8");
    const [, version] = /name = "wasmtime"\nversion = "(.*)"/.exec(lock) ?? [];
    assert.ok(stdout.includes(`Wasmtime ${version};`), stdout);
  });
});
