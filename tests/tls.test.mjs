// TLS in the relay: real clients over wss:// and https://, and certificates that change under them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { once } from "node:events";
import { PATIENCE, ask, client, connected, newRoom, next } from "./harness/clients.mjs";
import { ROOT, newStateDir, run, startApp, startRelay, startUp, secrets, within } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";

const exec = promisify(execFile);
const SUITE = join(ROOT, "tests/conformance/client-suite/spin.toml");

/** A new self-signed certificate for 127.0.0.1 and its key, in a folder of their own. */
async function certificate() {
  const dir = await newStateDir();
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  const subject = ["-subj", "/CN=parlour-test", "-addext", "subjectAltName=IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  await exec("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert]);
  return { dir, cert, key, pem: await readFile(cert, "utf8") };
}

const flags = ({ cert, key }) => ["--tls-cert", cert, "--tls-key", key];

async function secure(t, options = {}) {
  const files = await certificate();
  const server = await startUp({ ...options, args: [...flags(files), ...(options.args ?? [])] });
  t.after(() => server.kill9());
  return { server, files, ca: files.pem };
}

/** Which certificate a new connection is shown. */
async function shown(url) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await within(PATIENCE, once(socket, "secureConnect"), () => "no TLS connection");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

const fingerprint = (pem) => new X509Certificate(pem).fingerprint256;

async function until(condition, complaint) {
  const wait = async () => {
    while (!(await condition())) await sleep(50);
  };
  await within(4 * PATIENCE, wait(), () => complaint());
}

/** The body of a page. */
async function page(url, ca) {
  const sending = request(url, { ca, agent: false });
  sending.end();
  const [response] = await within(PATIENCE, once(sending, "response"), () => "no answer");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, text };
}

describe("a server with a certificate", () => {
  test("says https, and serves pages and clients of every transport", async (t) => {
    const { server, ca } = await secure(t);
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:/);
    const { status, text } = await page(server.url, ca);
    assert.equal(status, 200);
    assert.match(text, /<html/i);

    const room = newRoom();
    const websocket = await connected(t, server.url, { ca });
    const polling = await connected(t, server.url, { ca, transports: ["polling"] });
    const upgrading = await connected(t, server.url, { ca, transports: ["polling", "websocket"] });
    const everyone = [websocket, polling, upgrading];
    for (const socket of everyone) await ask(socket, "join", room);
    for (const socket of everyone) await ask(socket, "message", { room, text: `from ${socket.id}` });
    for (const reader of everyone) {
      for (const { id } of everyone) {
        if (id !== reader.id) await next(reader, "message", ({ text }) => text === `from ${id}`);
      }
    }
    if (upgrading.io.engine.transport.name !== "websocket") await within(PATIENCE, once(upgrading.io.engine, "upgrade"), () => "no upgrade");
    await ask(upgrading, "rooms");
  });

  test("does not know plain HTTP, and goes on", async (t) => {
    const { server, ca } = await secure(t);
    await assert.rejects(http(server.url, "/"));
    await ask(await connected(t, server.url, { ca }), "rooms");
  });

  test("tells the app that its clients are secure", async (t) => {
    const { server, ca } = await secure(t, { manifest: SUITE });
    for (const transports of [["websocket"], ["polling"]]) {
      const socket = await connected(t, server.url, { ca, transports });
      assert.equal((await ask(socket, "getHandshake")).secure, true);
    }
  });

  test("gives a client that reads late everything, whole and in order", async (t) => {
    const { server, ca } = await secure(t);
    const room = newRoom();
    const ada = await connected(t, server.url, { ca });
    const bob = await connected(t, server.url, { ca, reconnection: false });
    for (const socket of [ada, bob]) await ask(socket, "join", room);
    const stream = bob.io.engine.transport.ws._socket;
    stream.pause();
    const texts = Array.from({ length: 600 }, (_, n) => `${n} ${String.fromCharCode(97 + (n % 26)).repeat(15_000)}`);
    for (const text of texts) await ask(ada, "message", { room, text });
    stream.resume();
    for (const text of texts) assert.equal((await next(bob, "message")).text, text);
  });

  test("also in front of an app elsewhere", async (t) => {
    const env = secrets();
    const app = await startApp({ env });
    t.after(() => app.kill9());
    const files = await certificate();
    const relay = await startRelay({ origin: app.url, env, args: flags(files) });
    t.after(() => relay.kill9());
    await ask(await connected(t, relay.url, { ca: files.pem }), "rooms");
  });
});

describe("a certificate that changes", () => {
  test("is shown to those who come from then on, and nobody is disconnected", async (t) => {
    const { server, files, ca } = await secure(t);
    const before = await connected(t, server.url, { ca, reconnection: false });
    assert.equal(await shown(server.url), fingerprint(ca));

    const other = await certificate();
    // One after the other, as whoever renews certificates does it.
    await rename(other.cert, files.cert);
    await sleep(1500);
    assert.equal(await shown(server.url), fingerprint(ca), "half a change is none");
    await rename(other.key, files.key);
    await until(async () => (await shown(server.url)) === fingerprint(other.pem), () => "the new one is not shown");
    await ask(before, "rooms");
    await ask(await connected(t, server.url, { ca: other.pem }), "rooms");
  });

  test("into something broken stays what it was, and the log says so", async (t) => {
    const { server, files, ca } = await secure(t);
    await writeFile(files.cert, "-----BEGIN CERTIFICATE-----\nbroken");
    await until(async () => /cannot be used/.test(server.logs), () => `the log says nothing: ${server.logs}`);
    assert.equal(await shown(server.url), fingerprint(ca));
    await ask(await connected(t, server.url, { ca }), "rooms");
    // And mended, it is taken.
    const other = await certificate();
    await writeFile(files.key, await readFile(other.key));
    await writeFile(files.cert, other.pem);
    await until(async () => (await shown(server.url)) === fingerprint(other.pem), () => "the new one is not shown");
  });
});

describe("what is wrong with the files is said at start, by name", () => {
  const start = async (args) => {
    const all = ["up", "-f", join(ROOT, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", await newStateDir(), ...args];
    const { code, stderr } = await run(all);
    assert.notEqual(code, 0);
    return stderr;
  };

  test("one of two flags, no such file, no certificate, another's key", async () => {
    const [one, other] = [await certificate(), await certificate()];
    assert.match(await start(["--tls-cert", one.cert]), /--tls-key/);
    assert.match(await start(["--tls-cert", "/nowhere.pem", "--tls-key", one.key]), /\/nowhere\.pem/);
    assert.match(await start(flags({ cert: one.key, key: one.key })), /key\.pem has no certificate/);
    const stderr = await start(flags({ cert: one.cert, key: other.key }));
    assert.ok(stderr.includes(one.cert) && stderr.includes(other.key), stderr);
  });
});
