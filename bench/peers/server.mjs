// A chat server on npm's socket.io with the events of tests/conformance, as one would write it by hand.
// Owns nothing but the handlers; `--database FILE` stores each message before its broadcast.
// Never tuned for or against: Socket.IO's defaults, WebSocket compression off as it is by default.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import { openStore } from "./store.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    database: { type: "string" },
  },
});

const store = options.database ? await openStore(options.database) : undefined;
const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);

  socket.on("echo", (...args) => args.pop()(...args));

  socket.on("join", (room, ack) => {
    socket.join(room);
    ack?.({ room });
  });

  socket.on("leave", (room, ack) => {
    socket.leave(room);
    ack?.({ room });
  });

  socket.on("message", async (message, ack) => {
    await store?.insert(message.room, JSON.stringify(message));
    io.to(message.room).emit("message", message);
    ack?.();
  });
});

// The bench asks for a collection before it reads the memory, so that garbage is not counted
// against this server.
process.on("SIGUSR2", () => globalThis.gc?.());

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await io.close();
    await store?.close();
    process.exit(0);
  });
}

http.listen(Number(options.port), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${http.address().port}`);
});
