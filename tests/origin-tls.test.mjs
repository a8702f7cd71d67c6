// `parlour relay --origin https://…`: an app behind a real TLS server, as every cloud host is one, with certificates of a private
// authority; and what is said where they do not fit.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { PATIENCE, ask, connected, newRoom, next } from "./harness/clients.mjs";
import { ROOT, newStateDir, run, secrets, startApp, startRelay, token, within } from "./harness/parlour.mjs";

const exec = promisify(execFile);
const KIND = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** An authority, and the way to have it sign a certificate for a name. */
async function authority() {
  const dir = await newStateDir();
  const [ca, caKey] = [join(dir, "ca.pem"), join(dir, "ca-key.pem")];
  await exec("openssl", ["req", "-x509", ...KIND, "-days", "30", "-subj", "/CN=test authority", "-keyout", caKey, "-out", ca]);
  let made = 0;
  const sign = async (names) => {
    const [key, asked, cert, extra] = ["key", "csr", "cert", "ext"].map((what) => join(dir, `${++made}-${what}.pem`));
    await exec("openssl", ["req", "-new", ...KIND, "-subj", "/CN=app", "-keyout", key, "-out", asked]);
    await writeFile(extra, `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`);
    await exec("openssl", ["x509", "-req", "-in", asked, "-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-days", "30", "-extfile", extra, "-out", cert]);
    return { key: await readFile(key), cert: await readFile(cert) };
  };
  return { ca, sign };
}

/** A TLS server that hands every request on to the app. */
async function secured(t, app, pair) {
  const seen = { protocols: new Set(), versions: new Set(), requests: 0 };
  const server = createServer({ ...pair, ALPNProtocols: ["h2", "http/1.1"] }, (incoming, outgoing) => {
    seen.requests += 1;
    seen.protocols.add(/** @type {import("node:tls").TLSSocket} */ (incoming.socket).alpnProtocol);
    seen.versions.add(incoming.httpVersion);
    const { method, headers } = incoming;
    const onward = request(new URL(incoming.url ?? "/", app.url), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { port, seen };
}

describe("an app at https", () => {
  const env = secrets();
  let trusted;
  before(async () => void (trusted = await authority()));

  const app = async (t, names) => {
    const app = await startApp({ env });
    t.after(() => app.kill9());
    return { app, ...(await secured(t, app, await trusted.sign(names))) };
  };

  test("serves clients of all transports, its pages too, by HTTP/1.1", async (t) => {
    const { app: plain, port, seen } = await app(t, "DNS:localhost,IP:127.0.0.1");
    const relay = await startRelay({ origin: `https://localhost:${port}`, env, args: ["--origin-ca", trusted.ca, "--max-connections", "100"] });
    t.after(() => relay.kill9());
    const ada = await connected(t, relay.url);
    const bob = await connected(t, relay.url, { transports: ["polling"] });
    const room = newRoom();
    for (const socket of [ada, bob]) await ask(socket, "join", room);
    const long = "x".repeat(15_000);
    for (const text of ["one", "two", long]) await ask(ada, "message", { room, text });
    for (const text of ["one", "two", long]) assert.equal((await next(bob, "message")).text, text);
    await connected(t, relay.url, { namespace: "/members", auth: { token: await token(plain.stateDir, { env }) } });
    assert.match(await (await fetch(relay.url)).text(), /<html/i);
    assert.deepEqual([...seen.protocols, ...seen.versions], ["http/1.1", "1.1"]);
    assert.doesNotMatch(relay.logs, /ERROR|WARN/);
  });

  test("by its address, and parlour check reaches it as well", async (t) => {
    const { port, seen } = await app(t, "IP:127.0.0.1");
    const args = ["check", "--origin", `https://127.0.0.1:${port}`, "--origin-ca", trusted.ca];
    const { code, stdout, stderr } = await run(args, undefined, env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Everything is set up as it must be/);
    assert.ok(seen.requests >= 4);
  });

  /** What `parlour check` says, which is what the relay logs. */
  const complaint = async (origin, args) => {
    const { code, stderr } = await run(["check", "--origin", origin, ...args], undefined, env);
    assert.notEqual(code, 0);
    return stderr;
  };

  test("whose certificate nobody known has signed is refused, with the way to name who has", async (t) => {
    const { port, seen } = await app(t, "DNS:localhost");
    for (const args of [[], ["--origin-ca", (await authority()).ca]]) {
      const said = await complaint(`https://localhost:${port}`, args);
      assert.match(said, /nobody who is trusted here vouches for its certificate: .*--origin-ca FILE/);
    }
    assert.equal(seen.requests, 0);
  });

  test("whose certificate is another's is refused, with the names that it is for", async (t) => {
    const { port, seen } = await app(t, "DNS:chat.example");
    const said = await complaint(`https://localhost:${port}`, ["--origin-ca", trusted.ca]);
    assert.match(said, /its certificate is not for localhost but for .*chat\.example.*--origin/);
    assert.equal(seen.requests, 0);
    // And a relay says so when it starts, and goes on asking.
    const relay = await startRelay({ origin: `https://localhost:${port}`, env, args: ["--origin-ca", trusted.ca] });
    t.after(() => relay.kill9());
    const wait = async () => {
      while (!/the app is not there yet: .*its certificate is not for localhost/.test(relay.logs)) await sleep(50);
    };
    await within(PATIENCE, wait(), () => relay.logs);
  });

  test("that does not speak TLS is said to be that, and http to one that does is no riddle", async (t) => {
    const { app: plain, port } = await app(t, "DNS:localhost");
    const said = await complaint(plain.url.replace("http:", "https:"), ["--origin-ca", trusted.ca]);
    assert.match(said, /it does not speak TLS: give --origin http:/);
    assert.match(await complaint(`http://localhost:${port}`, []), /gave no answer/);
  });

  test("what is wrong with the authorities' file is said at start", async () => {
    const relay = (...args) => run(["relay", "--listen", "0", "--control", "0", ...args], undefined, env);
    for (const [origin, ca, says] of [
      ["https://localhost", "/no/ca.pem", /\/no\/ca\.pem/],
      ["https://localhost", join(ROOT, "spin.toml"), /spin\.toml has no certificate/],
      ["http://localhost", trusted.ca, /--origin-ca is for https/],
    ]) {
      const { code, stderr } = await relay("--origin", `${origin}`, "--origin-ca", `${ca}`);
      assert.notEqual(code, 0);
      assert.match(stderr, /** @type {RegExp} */ (says));
    }
  });
});
