// npm's own Socket.IO server, in this process: what it does is what Parlour has to do.
// It knows one event, `rooms`, which it acknowledges as Parlour's lobby does, and recovers connection states as that
// does.

import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";

/** How long a polling client may take to fetch its close packet, milliseconds. */
const CLOSE_TIMEOUT = 1000;

/** @param {Partial<import("socket.io").ServerOptions>} options */
export async function startReference(options = {}) {
  const http = createServer().listen(0, "127.0.0.1");
  const io = new Server(http, { cors: { origin: "*" }, connectionStateRecovery: {}, ...options });
  io.on("connection", (socket) => socket.on("rooms", (ack) => typeof ack === "function" && ack([])));
  // A polling client that is gone is waited for, 30 seconds by default: the tests' process would not end.
  io.engine.on("connection", ({ transport }) => (transport.closeTimeout &&= CLOSE_TIMEOUT));
  await once(http, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (http.address());
  return {
    io,
    url: `http://127.0.0.1:${port}`,
    stop: () => io.close(),
  };
}
