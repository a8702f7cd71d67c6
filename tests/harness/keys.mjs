// Somebody who signs users in and publishes the keys for it: a JSON Web Key Set on an HTTP or HTTPS port.

import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { join } from "node:path";
import { promisify } from "node:util";
import { newStateDir } from "./parlour.mjs";

/**
 * @param {import("node:test").TestContext} t
 * @param {{maxAge?: string, secure?: boolean}} options how long an application that is started with this holds the
 *   set good; whether by TLS, with a certificate that it is to trust
 */
export async function startKeys(t, { maxAge = "10m", secure = false } = {}) {
  const published = new Map();
  const keys = {
    /** How often the set was asked for. */
    requests: 0,
    /** What the answers are; 0: there are none. */
    status: 200,
    /** What the application's variables must be. */
    env: {},
    /** Publishes a new Ed25519 key. */
    add(kid) {
      const pair = generateKeyPairSync("ed25519");
      published.set(kid, { ...pair.publicKey.export({ format: "jwk" }), kid, use: "sig" });
      return pair;
    },
    remove: (kid) => published.delete(kid),
  };
  const certificate = secure ? await newCertificate() : undefined;
  const answer = (request, response) => {
    keys.requests++;
    if (keys.status === 0) return;
    response.writeHead(keys.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ keys: [...published.values()] }));
  };
  const server = certificate ? createSecureServer(certificate, answer) : createServer(answer);
  server.listen(0, "127.0.0.1");
  t.after(() => (server.closeAllConnections(), void server.close()));
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const url = `${secure ? "https" : "http"}://127.0.0.1:${port}`;
  keys.env = { SPIN_VARIABLE_AUTH_JWKS_URL: `${url}/jwks.json`, SPIN_VARIABLE_AUTH_JWKS_HOST: url, SPIN_VARIABLE_AUTH_JWKS_MAX_AGE: maxAge };
  if (certificate) keys.env = { ...keys.env, SSL_CERT_FILE: certificate.file };
  return keys;
}

/** A certificate for 127.0.0.1 that nobody else has signed. */
async function newCertificate() {
  const folder = await newStateDir();
  const [file, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  const subject = ["-subj", "/CN=parlour-test", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
  await promisify(execFile)("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", file]);
  return { file, cert: await readFile(file), key: await readFile(key) };
}
