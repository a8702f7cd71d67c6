// A network between clients and a server that can fail: cables are cut without either end being told,
// and what is plugged in at the far end can change.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * @param {import("node:test").TestContext} t
 * @param {string} url the server
 * @param {{delay?: number}} options how late what the server sends arrives, milliseconds
 */
export async function startWire(t, url, { delay = 0 } = {}) {
  /** @type {Set<{near: import("node:net").Socket, far: import("node:net").Socket}>} */
  const cables = new Set();
  const wire = {
    url: "",
    /** Where new connections go. */
    server: url,
    /** Whether new connections come through. */
    open: true,
    /** Ends every connection at the clients; the server is not told, and its side stays open. */
    cut() {
      for (const cable of cables) {
        cable.near.unpipe(cable.far);
        cable.far.unpipe(cable.near);
        cable.far.resume(); // what the server sends is lost
        cable.near.destroy();
      }
    },
    /** What clients send from now on is lost, and neither end is told. */
    mute() {
      for (const { near, far } of cables) (near.unpipe(far), near.resume());
    },
    /** Ends every connection at both ends. */
    tear() {
      for (const { near, far } of cables) (near.destroy(), far.destroy());
      cables.clear();
    },
  };
  const listener = createServer((near) => {
    if (!wire.open) return near.destroy();
    const { hostname, port } = new URL(wire.server);
    const far = connect(Number(port), hostname);
    const cable = { near, far };
    cables.add(cable);
    near.on("error", () => {});
    far.on("error", () => near.destroy());
    far.on("close", () => cables.delete(cable));
    near.pipe(far);
    if (delay === 0) {
      far.pipe(near);
    } else {
      far.on("data", (chunk) => setTimeout(() => near.write(chunk), delay));
      far.on("end", () => setTimeout(() => near.end(), delay));
    }
  }).listen(0, "127.0.0.1");
  t.after(() => (wire.tear(), listener.close()));
  await once(listener, "listening");
  wire.url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (listener.address()).port}`;
  return wire;
}
