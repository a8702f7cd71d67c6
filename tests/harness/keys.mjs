// Somebody who signs users in and publishes the keys for it: a JSON Web Key Set on an HTTP port.

import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * @param {import("node:test").TestContext} t
 * @param {{maxAge?: string}} options how long an application that is started with this holds the set good
 */
export async function startKeys(t, { maxAge = "10m" } = {}) {
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
  const server = createServer((request, response) => {
    keys.requests++;
    if (keys.status === 0) return;
    response.writeHead(keys.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ keys: [...published.values()] }));
  }).listen(0, "127.0.0.1");
  t.after(() => (server.closeAllConnections(), void server.close()));
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const url = `http://127.0.0.1:${port}`;
  keys.env = { SPIN_VARIABLE_AUTH_JWKS_URL: `${url}/jwks.json`, SPIN_VARIABLE_AUTH_JWKS_HOST: url, SPIN_VARIABLE_AUTH_JWKS_MAX_AGE: maxAge };
  return keys;
}
