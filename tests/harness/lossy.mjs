// A proxy between a relay and the app that loses answers: the app has done what it was asked, and
// the relay does not hear of it.

import { once } from "node:events";
import { createServer, request } from "node:http";

/**
 * @param {import("node:test").TestContext} t
 * @param {string} origin the app
 * @param {(batch: number) => boolean} loses which answers to batches are lost, counted from 1
 */
export async function startLossyProxy(t, origin, loses) {
  const { hostname, port } = new URL(origin);
  const proxy = { url: "", batches: 0, lost: 0 };
  const server = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    const forwarded = request({ hostname, port, method, path, headers }, async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      if (path?.startsWith("/relay") && loses(++proxy.batches)) {
        proxy.lost += 1;
        return incoming.socket.destroy();
      }
      outgoing.writeHead(/** @type {number} */ (answer.statusCode), answer.headers);
      outgoing.end(Buffer.concat(chunks));
    });
    forwarded.on("error", () => incoming.socket.destroy());
    incoming.pipe(forwarded);
  }).listen(0, "127.0.0.1");
  t.after(() => (server.closeAllConnections(), server.close()));
  await once(server, "listening");
  proxy.url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  return proxy;
}
