// Middleware of all kinds before the same chat (middleware/spin.toml): what clients see of it.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { ask, client, connected, newRoom, next, PATIENCE, sibling, stayedConnected, unread } from "./harness/clients.mjs";
import { newStateDir, ROOT, run, secrets, Server, startApp, startPair, startRelay, startUp, within } from "./harness/parlour.mjs";

const manifest = join(ROOT, "tests/middleware/spin.toml");
/** What the middleware before /keyed and /wrong wants to see. */
const KEY = { "x-api-key": "sesame" };

/** A server with buckets of its own, which is gone when the test ends. */
async function started(t, options = {}) {
  const server = await startUp({ manifest, ...options });
  t.after(() => server.kill9());
  return server;
}

/** The error of a client that asked to enter and may not. */
async function refused(t, url, options) {
  const socket = client(t, url, { reconnection: false, ...options });
  const error = await next(socket, "connect_error");
  assert.deepEqual(unread(socket, "connect"), []);
  return error;
}

/** Waits until the server has printed it: what a process prints comes by another way than its answers. */
async function logged(server, pattern) {
  const said = new Promise((found) => {
    const look = () => pattern.test(server.logs) && found(undefined);
    for (const { child } of server.processes) for (const stream of [child.stdout, child.stderr]) stream.on("data", look);
    look();
  });
  await within(PATIENCE, said, () => `the log does not say ${pattern}:\n${server.logs}`);
}

/** Fails if these two do not hear each other. */
async function talk(from, to) {
  const room = newRoom();
  for (const socket of [from, to]) await ask(socket, "join", room);
  await ask(from, "message", { room, text: "can you hear me?" });
  assert.equal((await next(to, "message")).text, "can you hear me?");
}

for (const [what, start] of Object.entries({ "parlour up": startUp, "parlour app and parlour relay": startPair })) {
  describe(`middleware that knows only HTTP: ${what}`, () => {
    let server;
    before(async () => void (server = await start({ manifest })));
    after(() => server.stop());

    test("before a door, it admits who has the key, and their events flow", async (t) => {
      const keyed = { namespace: "/keyed", extraHeaders: KEY };
      const [ada, ben] = [await connected(t, server.url, keyed), await connected(t, server.url, keyed)];

      await talk(ada, ben);

      for (const socket of [ada, ben]) stayedConnected(socket);
    });

    test("before a door, it refuses who has not, in its own words", async (t) => {
      for (const extraHeaders of [{}, { "x-api-key": "guess" }]) {
        const { message, data } = await refused(t, server.url, { namespace: "/keyed", extraHeaders });
        assert.deepEqual([message, data], ["No entry without the key", { code: 403 }]);
      }
    });

    test("without a door, it refuses the batches: nobody gets in, nothing is tried for ever, and the log says why", async (t) => {
      const inside = await connected(t, server.url, { namespace: "/keyed", extraHeaders: KEY });

      // The lane has one batch in flight: when the second client has its answer, the first one's is over.
      for (const extraHeaders of [{}, KEY]) {
        const { message } = await refused(t, server.url, { namespace: "/wrong", extraHeaders });
        assert.equal(message, "internal");
      }

      await logged(server, /router: the middleware before wrong refused a batch \(403 Forbidden: .*docs\/middleware\.md/);
      assert.doesNotMatch(server.logs, /does not accept the relay's secret/);
      await ask(inside, "rooms");
      stayedConnected(inside);
    });
  });
}

describe("rate-limit", () => {
  const limited = { namespace: "/limited" };

  test("lets an address in so many times, and its events flow; then it says when to come back", async (t) => {
    const { url } = await started(t);
    const [ada, ben] = [await connected(t, url, limited), await connected(t, url, limited)];
    await connected(t, url, limited);

    const { message, data } = await refused(t, url, limited);

    assert.equal(data.code, "rate_limited");
    assert.ok(Number.isInteger(data.retry_after) && data.retry_after > 0 && data.retry_after <= 1200, `${data.retry_after}`);
    assert.equal(message, `Too many connections: try again in ${data.retry_after} s`);
    await talk(ada, ben);
    for (const socket of [ada, ben]) stayedConnected(socket);
  });

  test("harms nobody else: other addresses, other namespaces, the same connection elsewhere", async (t) => {
    const { url } = await started(t, { args: ["--variable", "limit=1/h"] });
    await connected(t, url, limited);
    const inKeyed = await connected(t, url, { namespace: "/keyed", extraHeaders: KEY });
    const inLimited = sibling(t, inKeyed, "/limited");

    assert.equal((await next(inLimited, "connect_error")).data.code, "rate_limited");

    await ask(inKeyed, "rooms");
    stayedConnected(inKeyed);
    const agent = /** @type {any} */ (new Agent({ localAddress: "127.0.0.2" }));
    await connected(t, url, { ...limited, agent });
  });

  test("believes the relay, not what a client says of its address", async (t) => {
    const { url } = await started(t, { args: ["--variable", "limit=1/h"] });
    await connected(t, url, limited);
    for (const forged of ["203.0.113.1", "203.0.113.2, 203.0.113.3", "", ","]) {
      const { data } = await refused(t, url, { ...limited, extraHeaders: { "x-forwarded-for": forged } });
      assert.equal(data.code, "rate_limited", forged);
    }
  });

  test("lets in who comes back when told to", async (t) => {
    const { url } = await started(t, { args: ["--variable", "limit=1/3s"] });
    await connected(t, url, limited);
    const { data } = await refused(t, url, limited);
    assert.ok([1, 2, 3].includes(data.retry_after), `${data.retry_after}`);

    await wait(data.retry_after * 1000);

    await connected(t, url, limited);
  });

  test("remembers over a restart", async (t) => {
    const stateDir = await newStateDir();
    const args = ["--variable", "limit=1/h"];
    const before = await started(t, { stateDir, args });
    await connected(t, before.url, { ...limited, reconnection: false });
    await before.kill9();

    const after = await started(t, { stateDir, args });

    assert.equal((await refused(t, after.url, limited)).data.code, "rate_limited");
  });

  test("with none lets everyone in", async (t) => {
    const { url } = await started(t, { args: ["--variable", "limit=none"] });
    for (let n = 0; n < 5; n++) await connected(t, url, limited);
  });

  test("with a limit that is none lets nobody in, and the log says why", async (t) => {
    const env = secrets();
    const app = await startApp({ manifest, env, args: ["--variable", "limit=often"] });
    t.after(() => app.kill9());
    const relay = await startRelay({ origin: app.url, env });
    t.after(() => relay.kill9());
    assert.equal((await refused(t, relay.url, limited)).message, "internal");
    await logged(new Server(relay.url, app.stateDir, relay, app), /rate-limit: the variable rate_limit is "often": .*like 20\/10s/);
  });

  test("without its database lets everyone in, and the log says why", async (t) => {
    const server = await started(t);
    for (let n = 0; n < 3; n++) await connected(t, server.url, { namespace: "/uncounted" });
    await logged(server, /rate-limit: lets 127\.0\.0\.1 in uncounted: cannot use the SQLite database/);
  });

  test("and auth judge in the order that the manifest says", async (t) => {
    const server = await started(t);
    const token = await server.token({ sub: "ada", name: "Ada" });
    const both = (auth = {}) => ({ namespace: "/both", auth });
    const code = async (auth) => (await refused(t, server.url, both(auth))).data.code;

    assert.equal(await code(), "missing_token");
    assert.equal(await code({ token: "forged" }), "invalid_token");
    const ada = await connected(t, server.url, both({ token }));
    const ben = await connected(t, server.url, both({ token }));

    // Four have been counted, the refused ones too: now nobody's token is looked at.
    for (const auth of [{}, { token: "forged" }, { token }]) assert.equal(await code(auth), "rate_limited");
    await talk(ada, ben);
  });
});

/** The manifest, changed: each text replaced by another. */
async function changed(...changes) {
  let text = await readFile(manifest, "utf8");
  text = text.replaceAll("../../target/", `${ROOT}/target/`);
  for (const [before, after] of changes) {
    assert.ok(text.includes(before), before);
    text = text.replace(before, after);
  }
  const file = join(await newStateDir(), "spin.toml");
  await writeFile(file, text);
  return file;
}

describe("middleware that must be there", () => {
  const before = (component, line) => `component = "${component}"\n${line}`;
  const LIMIT = 'dependencies.middleware = [{ component = "rate-limit", inherit_configuration = ["variables", "sqlite_databases"] }]';
  const KEYED = 'dependencies.middleware = [{ component = "api-key" }]';
  const AUTH = '  { component = "auth", inherit_configuration = ["variables"] },\n';

  for (const [what, change, says] of [
    ["is missing", [before("limited", LIMIT), before("limited", "")], /\/limited must have the middleware rate-limit before its component limited/],
    ["is one of two, and missing", [AUTH, ""], /\/both must have the middleware auth before its component both/],
    ["is missing before a door", [before("keyed-door", KEYED), before("keyed-door", "")], /\/keyed must have the middleware api-key before its component keyed-door/],
    ["has no name, and is missing", ['"component": "wrong", "middleware": "api-key", "proof": "refusal"', '"component": "keyed"'], /\/wrong must have some middleware before its component keyed/],
    ["can be passed by another trigger", [before("limited", LIMIT), `${before("limited", LIMIT)}\n[[trigger.http]]\nroute = { private = true }\ncomponent = "limited"\n`], /component limited, which has 2 entries/],
    ["stands before a public route", ['route = { private = true }\ncomponent = "limited"', 'route = "/limited"\ncomponent = "limited"'], /everybody can send it requests by the route \/limited/],
  ]) {
    test(`and ${what}: the application does not start, and says why`, async () => {
      const file = await changed(change);
      const stateDir = await newStateDir();
      for (const command of ["up", "app"]) {
        const secrets = { SPIN_VARIABLE_RELAY_SECRET: "a", SPIN_VARIABLE_AUTH_SECRET: "b" };
        const { code, stderr } = await run([command, "-f", file, "--listen", "127.0.0.1:0", "--state-dir", stateDir], stateDir, secrets);
        assert.equal(code, 1, stderr);
        assert.match(stderr, says);
      }
    });
  }

  test("and does not say that it has judged: nobody gets in, and the log says why", async (t) => {
    // By the manifest all is well; what stands there is not what it is called. So it would be on Spin without the line.
    const file = await changed(['"door": "keyed-door", "middleware": "api-key", "proof": "refusal"', '"door": "keyed-door", "middleware": "api-key"']);
    const server = await started(t, { manifest: file });
    const { message, data } = await refused(t, server.url, { namespace: "/keyed", extraHeaders: KEY });
    assert.equal(data.code, "middleware_missing");
    assert.match(message, /closed/);
    await logged(server, /\/keyed is closed: the middleware api-key must stand before keyed-door/);
    // Nor with a word of the client's own.
    for (const name of ["parlour-judged", "Parlour-Judged"]) {
      const forged = await refused(t, server.url, { namespace: "/keyed", extraHeaders: { ...KEY, [name]: "api-key" } });
      assert.equal(forged.data.code, "middleware_missing");
    }
    await connected(t, server.url, { namespace: "/limited" });
  });

  test("and refuses nobody, where that was to be its proof: nobody gets in", async (t) => {
    const file = await changed(['"component": "limited", "middleware": "rate-limit"', '"component": "limited", "middleware": "rate-limit", "proof": "refusal"']);
    const server = await started(t, { manifest: file });
    assert.equal((await refused(t, server.url, { namespace: "/limited" })).data.code, "middleware_missing");
    await logged(server, /\/limited is closed/);
  });

  test("has no name, and knows only HTTP: it is enough that it refuses who has nothing", async (t) => {
    const file = await changed(['"door": "keyed-door", "middleware": "api-key", "proof": "refusal"', '"door": "keyed-door"']);
    const { url } = await started(t, { manifest: file });
    await connected(t, url, { namespace: "/keyed", extraHeaders: KEY });
    assert.equal((await refused(t, url, { namespace: "/keyed" })).data.code, 403);
  });
});
