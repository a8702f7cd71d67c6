// Tokens made by somebody else than `parlour token`, good and bad: what /members makes of them.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { PATIENCE, ask, client, connected, newRoom, next } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { startKeys } from "./harness/keys.mjs";

const SECRET = "a secret that only this test and its server know";
const ed25519 = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = /** @type {string} */ (ed25519.publicKey.export({ type: "spki", format: "pem" }));
const RAW = ed25519.publicKey.export({ format: "jwk" }).x ?? "";

const encoded = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
const token = (head, claims, signer) => {
  const signed = `${encoded(head)}.${encoded(claims)}`;
  return `${signed}.${signer(Buffer.from(signed)).toString("base64url")}`;
};
const hs256 = (claims, secret = SECRET, alg = "HS256") =>
  token({ alg, typ: "JWT" }, claims, (signed) => createHmac("sha256", secret).update(signed).digest());
const eddsa = (claims, key = ed25519.privateKey) => token({ alg: "EdDSA" }, claims, (signed) => sign(null, signed, key));

const fromNow = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const ada = { sub: "ada", name: "Ada", exp: fromNow(3600) };

let server;
before(async () => {
  // Through the environment: a PEM has lines.
  const env = { SPIN_VARIABLE_AUTH_SECRET: SECRET, SPIN_VARIABLE_AUTH_PUBLIC_KEY: PEM };
  server = await startUp({ env });
});
after(() => server.stop());

const auth = (token) => ({ namespace: "/members", auth: { token }, reconnection: false });

async function codeFor(t, token) {
  return (await next(client(t, server.url, auth(token)), "connect_error")).data?.code;
}

describe("/members", () => {
  test("admits who has a token of the secret, and who has one of the private key", async (t) => {
    for (const good of [hs256({ ...ada, exp: fromNow(60) }), eddsa({ ...ada, exp: fromNow(60) }), hs256({ ...ada, nbf: fromNow(-60) })]) {
      const socket = await connected(t, server.url, auth(good));
      assert.deepEqual((await ask(socket, "join", newRoom())).members, [{ id: "ada", name: "Ada" }]);
    }
  });

  test("takes the public key as 32 bytes in base64url, too", async (t) => {
    const other = await startUp({ args: ["--variable", `auth_public_key=${RAW}`] });
    t.after(() => other.stop());
    await connected(t, other.url, auth(eddsa(ada)));
  });

  test("honours exp and nbf", async (t) => {
    assert.equal(await codeFor(t, hs256({ ...ada, exp: fromNow(-1) })), "expired_token");
    assert.equal(await codeFor(t, eddsa({ ...ada, exp: fromNow(-3600) })), "expired_token");
    assert.equal(await codeFor(t, hs256({ ...ada, nbf: fromNow(3600) })), "not_yet_valid");
    for (const claims of [{ exp: "tomorrow" }, { exp: null }, { exp: undefined }, { nbf: [] }]) {
      assert.equal(await codeFor(t, hs256({ ...ada, ...claims })), "invalid_token", JSON.stringify(claims));
    }
  });

  test("trusts no other key and no other algorithm", async (t) => {
    const good = hs256(ada);
    const forgeries = {
      "another private key": eddsa(ada, stranger.privateKey),
      "another secret": hs256(ada, "another secret"),
      "the public key as a secret, PEM": hs256(ada, PEM),
      "the public key as a secret, raw": hs256(ada, RAW),
      "the right secret under another algorithm's name": hs256(ada, SECRET, "HS384"),
      "the right secret under the key's algorithm": hs256(ada, SECRET, "EdDSA"),
      "RSA": token({ alg: "RS256" }, ada, (signed) => sign("sha256", signed, rsa.privateKey)),
      "none": token({ alg: "none" }, ada, () => Buffer.alloc(0)),
      "NONE": token({ alg: "NoNe" }, ada, () => Buffer.alloc(0)),
      "no algorithm": token({}, ada, (signed) => createHmac("sha256", SECRET).update(signed).digest()),
      "a key that the token brings along": token({ alg: "EdDSA", jwk: stranger.publicKey.export({ format: "jwk" }) }, ada, (signed) => sign(null, signed, stranger.privateKey)),
      "what must be understood and is not": token({ alg: "HS256", crit: ["b64"], b64: false }, ada, (signed) => createHmac("sha256", SECRET).update(signed).digest()),
      "a signature with something behind it": `${good}AAAA`,
      "a fourth part": `${good}.AAAA`,
      "padding": `${good}=`,
    };
    for (const [what, forged] of Object.entries(forgeries)) assert.equal(await codeFor(t, forged), "invalid_token", what);
  });

  test("wants to know who it is", async (t) => {
    for (const claims of [{}, { name: "Nobody" }, { sub: "" }, { sub: 7 }, { sub: null }, { sub: "a", name: 7 }, { sub: "s".repeat(1000) }]) {
      assert.equal(await codeFor(t, hs256({ exp: ada.exp, ...claims })), "invalid_token", JSON.stringify(claims).slice(0, 60));
    }
    const nameless = await connected(t, server.url, auth(hs256({ sub: "ada", exp: ada.exp })));
    assert.equal((await ask(nameless, "join", newRoom())).members[0].id, "ada");
  });

  test("refuses what is no text, and what is too much of it, and stays well", async (t) => {
    for (const wrong of [7, null, true, {}, ["a"], "x".repeat(100_000), "é\u0000\r\nparlour-claims: e30"]) {
      const code = await codeFor(t, wrong);
      assert.ok(["missing_token", "invalid_token"].includes(code), `${JSON.stringify(wrong).slice(0, 40)}: ${code}`);
    }
    await connected(t, server.url, auth(hs256(ada)));
  });

  test("takes a token as clients send it: with its scheme, with white space and line breaks around it", async (t) => {
    const good = hs256(ada);
    for (const shape of [`Bearer ${good}`, `bearer  ${good}`, `BEARER\t${good}`, `${good}\n`, ` \r\n${good}\r\n`, `\ufeffBearer ${good}\u00a0`, `Bearer Bearer ${good}`]) {
      await connected(t, server.url, auth(shape));
    }
    for (const authorization of [`Bearer ${good}`, `bearer   ${good}`, `BEARER\t${good} `, `Bearer Bearer ${good}`]) {
      await connected(t, server.url, { namespace: "/members", extraHeaders: { authorization }, reconnection: false });
    }
    for (const none of ["", " \n", "Bearer", "Bearer \n"]) assert.equal(await codeFor(t, none), "missing_token", JSON.stringify(none));
    for (const wrong of [`Basic ${good}`, `Bearer${good}`, `${good} ${good}`]) assert.equal(await codeFor(t, wrong), "invalid_token", wrong.slice(0, 10));
  });

  test("takes a token that is renewed as it takes the first one", async (t) => {
    const socket = await connected(t, server.url, auth(` Bearer ${hs256({ ...ada, exp: fromNow(600) })}\n`));
    for (const [n, shape] of [(token) => `Bearer ${token}`, (token) => `${token}\n`, (token) => ` bearer\t${token}\r\n`].entries()) {
      const exp = fromNow(1000 + n);
      assert.deepEqual(await ask(socket, "auth", { token: shape(hs256({ ...ada, exp })) }), { expires: exp * 1000 });
    }
    assert.equal((await ask(socket, "auth", { token: "Bearer \n" })).error.data.code, "missing_token");
  });

  test("takes nobody's word for the claims", async (t) => {
    const claims = encoded({ sub: "admin", name: "Admin" });
    for (const extraHeaders of [{ "parlour-claims": claims }, { "parlour-claims": claims, authorization: "Bearer x" }, { "spin-component-route": "/connect" }]) {
      const eve = client(t, server.url, { namespace: "/members", extraHeaders, reconnection: false });
      assert.match((await next(eve, "connect_error")).data.code, /^(missing|invalid)_token$/);
    }
    const honest = await connected(t, server.url, { ...auth(hs256(ada)), extraHeaders: { "parlour-claims": claims } });
    assert.equal((await ask(honest, "join", newRoom())).members[0].id, "ada");
  });
});

describe("rules for tokens", () => {
  const started = async (t, env) => {
    const other = await startUp({ env: { SPIN_VARIABLE_AUTH_SECRET: SECRET, ...env } });
    t.after(() => other.stop());
    const code = async (token) => (await next(client(t, other.url, auth(token)), "connect_error")).data?.code;
    return { ...other, url: other.url, code };
  };

  test("a token without exp is good only where that is allowed", async (t) => {
    const unlimited = hs256({ sub: "ada" });
    assert.equal(await codeFor(t, unlimited), "invalid_token");
    const { url } = await started(t, { SPIN_VARIABLE_AUTH_ALLOW_UNLIMITED: "true" });
    await connected(t, url, auth(unlimited));
  });

  test("iss and aud must be those of the variables", async (t) => {
    const { url, code } = await started(t, { SPIN_VARIABLE_AUTH_ISSUER: "https://id.example", SPIN_VARIABLE_AUTH_AUDIENCE: "chat" });
    const good = { ...ada, iss: "https://id.example", aud: ["mail", "chat"] };
    await connected(t, url, auth(hs256(good)));
    for (const wrong of [{ iss: "https://evil.example" }, { iss: undefined }, { aud: "mail" }, { aud: undefined }]) {
      assert.equal(await code(hs256({ ...good, ...wrong })), "invalid_token", JSON.stringify(wrong));
    }
  });

  test("keys may have names: EdDSA, ES256 and RS256 out of one set", async (t) => {
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = (key, kid) => ({ ...key.publicKey.export({ format: "jwk" }), kid });
    const keys = [jwk(ed25519, "ed"), jwk(ec, "ec"), jwk(rsa, "rsa")];
    const { url, code } = await started(t, { SPIN_VARIABLE_AUTH_JWKS: JSON.stringify({ keys }) });
    const es256 = (kid) => token({ alg: "ES256", kid }, ada, (signed) => sign("sha256", signed, { key: ec.privateKey, dsaEncoding: "ieee-p1363" }));
    const rs256 = (kid) => token({ alg: "RS256", kid }, ada, (signed) => sign("sha256", signed, rsa.privateKey));
    const edDsa = (kid) => token({ alg: "EdDSA", kid }, ada, (signed) => sign(null, signed, ed25519.privateKey));
    for (const good of [es256("ec"), rs256("rsa"), edDsa("ed"), es256(undefined)]) await connected(t, url, auth(good));
    for (const wrong of [es256("rsa"), rs256("ec"), edDsa("rsa"), rs256("unknown")]) assert.equal(await code(wrong), "invalid_token");
    const confused = token({ alg: "HS256", kid: "rsa" }, ada, (signed) => createHmac("sha256", rsa.publicKey.export({ type: "spki", format: "pem" })).update(signed).digest());
    assert.equal(await code(confused), "invalid_token");
  });
});

describe("keys at a URL", () => {
  const sign_ = (pair, kid) => token({ alg: "EdDSA", kid }, ada, (signed) => sign(null, signed, pair.privateKey));

  test("are fetched once, and again when a token names a key that is not there", async (t) => {
    const keys = await startKeys(t);
    const first = keys.add("first");
    const server = await startUp({ env: keys.env });
    t.after(() => server.stop());
    for (let n = 0; n < 3; n++) await connected(t, server.url, auth(sign_(first, "first")));
    assert.equal(keys.requests, 1);

    // A key that nobody publishes is looked for, but not each time that somebody names it.
    const code = async (token) => (await next(client(t, server.url, auth(token)), "connect_error")).data?.code;
    for (let n = 0; n < 5; n++) assert.equal(await code(sign_(stranger, `made up ${n}`)), "invalid_token");
    assert.ok(keys.requests <= 2, `${keys.requests} requests`);
  });

  /** Tries until it is let in. */
  const eventually = async (t, url, token) => {
    for (const end = Date.now() + PATIENCE; ; ) {
      const socket = client(t, url, auth(token));
      const outcome = await new Promise((resolve) => {
        socket.once("connect", () => resolve(""));
        socket.once("connect_error", (error) => resolve(/** @type {any} */ (error).data?.code));
      });
      if (outcome === "") return socket;
      assert.ok(Date.now() < end, `still ${outcome}`);
    }
  };

  test("can be rotated", async (t) => {
    const keys = await startKeys(t, { maxAge: "1s" });
    const first = keys.add("first");
    const server = await startUp({ env: keys.env });
    t.after(() => server.stop());
    await connected(t, server.url, auth(sign_(first, "first")));

    const second = keys.add("second");
    keys.remove("first");
    await eventually(t, server.url, sign_(second, "second"));
    const withdrawn = client(t, server.url, auth(sign_(first, "first")));
    assert.equal((await next(withdrawn, "connect_error")).data.code, "invalid_token");
  });

  test("that cannot be fetched let nobody in, but were they once, that is good enough", async (t) => {
    const keys = await startKeys(t, { maxAge: "1s" });
    const first = keys.add("first");
    keys.status = 500;
    const server = await startUp({ env: keys.env });
    t.after(() => server.stop());
    const refused = client(t, server.url, auth(sign_(first, "first")));
    assert.equal((await next(refused, "connect_error")).data.code, "keys_unavailable");

    keys.status = 200;
    await eventually(t, server.url, sign_(first, "first"));

    keys.status = 503;
    const asked = keys.requests;
    while (keys.requests < asked + 2) await connected(t, server.url, auth(sign_(first, "first")));
  });

  test("may be at an https URL, if the system trusts who is there", async (t) => {
    const keys = await startKeys(t, { secure: true });
    const first = keys.add("first");
    const server = await startUp({ env: keys.env });
    t.after(() => server.stop());
    await connected(t, server.url, auth(sign_(first, "first")));

    const { SSL_CERT_FILE, ...env } = keys.env;
    const other = await startUp({ env });
    t.after(() => other.stop());
    const refused = client(t, other.url, auth(sign_(first, "first")));
    assert.equal((await next(refused, "connect_error")).data.code, "keys_unavailable");
  });

  test("that never come hold nobody up for good", async (t) => {
    const keys = await startKeys(t);
    keys.status = 0;
    const first = keys.add("first");
    const server = await startUp({ env: keys.env });
    t.after(() => server.stop());
    const refused = client(t, server.url, auth(sign_(first, "first")));
    assert.equal((await next(refused, "connect_error")).data.code, "keys_unavailable");
  });
});
